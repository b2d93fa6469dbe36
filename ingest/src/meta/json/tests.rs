use super::*;

/// Every value, as the parser that others wrote reads it.
fn walk(value: Value<'_>) {
    let whole: serde_json::Value = serde_json::from_slice(value.raw()).unwrap();
    if let Some(members) = value.members() {
        let members: Vec<_> = members.collect();
        for (name, member) in &members {
            let name = name.string().unwrap();
            let last = members.iter().rfind(|(other, _)| other.string().unwrap() == name).unwrap().1;
            assert_eq!(whole[&*name], serde_json::from_slice::<serde_json::Value>(last.raw()).unwrap());
            walk(*member);
        }
    } else if let Some(elements) = value.elements() {
        let elements: Vec<_> = elements.collect();
        assert_eq!(whole.as_array().unwrap().len(), elements.len());
        elements.into_iter().for_each(walk);
    } else {
        assert_eq!(whole.as_str(), value.string().as_deref());
    }
}

#[test]
fn every_value_is_where_the_parser_sees_it() {
    for text in [
        r#" { "a" : [ 1 , -2.5e3,true ,null, "x\"],{" , "" ] , "b" : { } , "c":[[],[{}]],"\u0061":7,"é\\":"\\" } "#,
        "[]",
        "{}",
        " 12 ",
        r#""\\""#,
        "null",
        r#"{"a":{"b":{"c":[{"d":[0,1,{"e":"}"}]}]}}}"#,
    ] {
        let bytes = Bytes::from(text);
        let json = Json::read(&bytes).unwrap();
        assert_eq!(json.root().text(), Some(text.trim()));
        assert_eq!(&json.root().bytes()[..], text.trim().as_bytes());
        walk(json.root());
    }
}

#[test]
fn every_type_has_a_name() {
    let bytes = Bytes::from(r#"[{},[],"",true,false,null,-1,2]"#);
    let json = Json::read(&bytes).unwrap();
    let names: Vec<_> = json.root().elements().unwrap().map(Value::type_name).collect();
    assert_eq!(names, ["object", "list", "text", "flag", "flag", "null", "number", "number"]);
}

#[test]
fn a_value_is_found_by_its_pointer() {
    let bytes = Bytes::from(r#"{"x":0,"a":[1,{"b":"here","c":2}]}"#);
    let json = Json::read(&bytes).unwrap();
    let place = json.spans.iter().position(|span| bytes[span.begin..span.end] == br#""here""#[..]).unwrap();
    assert_eq!(json.root().pointer_to(Value { json: &json, place }), "/a/1/b");
    assert_eq!(json.root().pointer_to(json.root()), "");
}

#[test]
fn what_is_no_json_is_refused() {
    for text in ["", "{", "[1,]", "nul", "\"\u{1}\"", "{\"a\" 1}", "1 2"] {
        assert!(Json::read(&Bytes::from(text)).is_err(), "{text:?}");
    }
    assert!(Json::read(&Bytes::from_static(b"\xff")).is_err());
}

#[test]
fn what_is_no_utf_8_is_found_beside_what_is_looked_at_by_itself() {
    let bytes =
        Bytes::from_static(b"{\"a\":[1,\"\xc3\",{\"b\":\"\xff\"}],\n\"c\":\"\xc3\xa9\",\"d\":\"e\xc3\"}");
    let json = Json::read(&bytes).unwrap();
    let root = json.root();
    let place = |value: Value<'_>, members: &[&str]| {
        let at = value.spoiled_beside(members)?;
        Some((value.pointer_to(value.at(at)), json.line_and_column(at)))
    };
    assert_eq!(place(root, &[]), Some(("/a/1".to_owned(), (1, 10))));
    assert_eq!(place(root, &["a", "none"]), Some(("/d".to_owned(), (2, 16))));
    // A text is none of those that are looked at by themselves.
    assert_eq!(place(root, &["a", "d"]), Some(("/d".to_owned(), (2, 16))));
    let [first, second, third] = root.member("a").unwrap().elements().unwrap().collect::<Vec<_>>()[..] else {
        panic!()
    };
    assert_eq!((place(first, &[]), first.text()), (None, Some("1")));
    assert_eq!((place(second, &[]).unwrap().0.as_str(), second.string()), ("", None));
    assert_eq!((place(third, &[]).unwrap().0.as_str(), third.text()), ("/b", None));
    assert_eq!(root.member("c").unwrap().string().as_deref(), Some("é"));
    assert_eq!(&second.bytes()[..], b"\"\xc3\"");
}
