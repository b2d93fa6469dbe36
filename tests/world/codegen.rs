//! The generated protobuf code is committed; here it is generated again, without a system `protoc`, and
//! compared. `GROUPFOLD_UPDATE=1 cargo test generated_code` writes it.

use std::path::Path;

fn generate(workspace: &Path) -> String {
    let protos = workspace.join("schemas/proto");
    let files = ["event.proto", "state.proto", "change.proto"].map(|f| protos.join("groupfold/v1").join(f));
    let descriptors = protox::compile(files, [&protos]).expect("the proto files compile");
    let out = workspace.join("target/codegen");
    std::fs::create_dir_all(&out).expect("target can be written");
    prost_build::Config::new()
        .out_dir(&out)
        .bytes(["."])
        // Large and rare: nearly all changes are of receipts, and they are moved about.
        .boxed("groupfold.v1.ChangeValue.value.member")
        .boxed("groupfold.v1.ChangeValue.value.failure")
        .compile_fds(descriptors)
        .expect("code is generated");
    std::fs::read_to_string(out.join("groupfold.v1.rs")).expect("code was written")
}

#[test]
fn generated_code_is_the_one_of_the_proto_files() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is in the workspace");
    let committed = workspace.join("schemas/src/generated/groupfold.v1.rs");
    let fresh = generate(workspace);
    if std::env::var_os("GROUPFOLD_UPDATE").is_some() {
        std::fs::write(&committed, &fresh).expect("the generated code can be written");
    }
    let stored = std::fs::read_to_string(&committed).expect("the generated code is committed");
    assert!(stored == fresh, "run: GROUPFOLD_UPDATE=1 cargo test -p groupfold-tests generated_code");
}
