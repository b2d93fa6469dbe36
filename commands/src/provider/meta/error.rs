//! Meta's two shapes of an error: Graph's `error` of a whole answer, and the `errors[]` of webhooks and of the items in
//! an answer.

use groupfold_schemas::v1::ProviderError;
use serde_json::Value;

/// Graph's `{"error":{message,type,code,error_subcode?,error_data{details}?,fbtrace_id}}`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GraphError {
    pub(super) error: ProviderError,
    /// Refines `code` where it is a class of errors.
    pub(super) subcode: Option<i64>,
    pub(super) trace_id: Option<String>,
}

/// Reads the `error` of an answer.
pub(super) fn graph(body: &Value) -> Option<GraphError> {
    let error = body.get("error").filter(|error| error.is_object())?;
    let data = error.get("error_data");
    // Some endpoints print `error_data` as a text.
    let details = data.and_then(|data| data.get("details").unwrap_or(data).as_str());
    Some(GraphError {
        error: ProviderError {
            code: code(error.get("code")),
            title: text(error.get("error_user_title")).unwrap_or_else(|| text_of(error, "type")),
            message: text_of(error, "message"),
            details: details.unwrap_or_default().to_owned(),
            href: String::new(),
        },
        subcode: error.get("error_subcode").and_then(Value::as_i64),
        trace_id: text(error.get("fbtrace_id")),
    })
}

/// Reads a list of `{code,title,message,error_data{details},href}`.
pub(super) fn webhook(errors: Option<&Value>) -> Vec<ProviderError> {
    let errors = errors.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let read = |error: &Value| ProviderError {
        code: code(error.get("code")),
        title: text_of(error, "title"),
        message: text_of(error, "message"),
        details: error.get("error_data").map(|data| text_of(data, "details")).unwrap_or_default(),
        href: text_of(error, "href"),
    };
    errors.iter().filter(|error| error.is_object()).map(read).collect()
}

/// Numbers and texts both occur.
fn code(code: Option<&Value>) -> String {
    match code {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().map(str::to_owned)
}

fn text_of(object: &Value, name: &str) -> String {
    text(object.get(name)).unwrap_or_default()
}
