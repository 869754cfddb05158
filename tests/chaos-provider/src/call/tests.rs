//! What is read of a request in either protocol.

use serde_json::json;

use super::*;

fn read(protocol: Protocol, body: &Value) -> Option<Call> {
    Call::read(protocol, body.to_string().as_bytes(), None)
}

#[test]
fn equal_prompts_have_equal_answers_and_others_do_not() {
    assert_eq!(summary_of(["a", "b"]), summary_of(["a", "b"]));
    assert_ne!(summary_of(["a", "b"]), summary_of(["ab"]));
    assert_eq!(summary_of(["a"]).len(), "summary of ".len() + 8);
}

#[test]
fn content_in_parts_is_read_like_content_in_one_string() {
    let body = json!({"model": "m", "max_completion_tokens": 7, "messages": [
        {"content": [{"type": "text", "text": "a b"}]},
        {"content": null},
        {"content": [{"type": "tool_result", "content": [{"type": "text", "text": "c"}]}]},
    ]});
    let call = read(Protocol::OpenAi, &body).unwrap();
    assert_eq!(call.messages, ["a b", "", "c"]);
    assert_eq!(call.max_tokens, Some(7));
    assert!(read(Protocol::OpenAi, &json!({"model": 1})).is_none());
}

#[test]
fn a_system_prompt_is_the_first_message_and_a_limit_is_required() {
    let mut body =
        json!({"model": "m", "system": "be brief", "max_tokens": 9, "messages": [{"content": "a"}]});
    let call = read(Protocol::Anthropic, &body).unwrap();
    assert_eq!(call.messages, ["be brief", "a"]);
    assert_eq!((call.prompt_tokens(), call.max_tokens), (3, Some(9)));
    body.as_object_mut().unwrap().remove("max_tokens");
    assert!(read(Protocol::Anthropic, &body).is_none());
    assert_eq!(read(Protocol::OpenAi, &body).unwrap().messages, ["a"]);
}

fn form(protocol: Protocol, more: Value) -> Form {
    let mut body = json!({"model": "m", "max_tokens": 1, "messages": []});
    let Value::Object(more) = more else {
        panic!("{more} is no object")
    };
    body.as_object_mut().unwrap().extend(more);
    read(protocol, &body).unwrap().form
}

fn tool(is_named: bool) -> Form {
    Form::Tool(Tool {
        name: "second".into(),
        schema: json!({"type": "object"}),
        is_named,
    })
}

#[test]
fn every_way_to_ask_openai_for_a_form_is_read() {
    let schema = json!({"type": "object"});
    let form = |more| form(Protocol::OpenAi, more);
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    assert_eq!(
        form(json!({"response_format": format})),
        Form::Schema(schema.clone())
    );
    assert_eq!(
        form(json!({"response_format": {"type": "json_object"}})),
        Form::AnyJson
    );
    assert_eq!(form(json!({"response_format": {"type": "text"}})), Form::Text);
    let function = json!({"type": "function", "function": {"name": "second", "parameters": schema}});
    let first = json!({"type": "function", "function": {"name": "first"}});
    let choice = json!({"type": "function", "function": {"name": "second"}});
    assert_eq!(
        form(json!({"tools": [first, function], "tool_choice": choice})),
        tool(true)
    );
    assert_eq!(
        form(json!({"tools": [function], "tool_choice": "required"})),
        tool(false)
    );
    assert_eq!(
        form(json!({"tools": [function], "tool_choice": "auto"})),
        Form::Text
    );
}

#[test]
fn every_way_to_ask_anthropic_for_a_form_is_read() {
    let schema = json!({"type": "object"});
    let form = |more| form(Protocol::Anthropic, more);
    let format = json!({"type": "json_schema", "schema": schema});
    assert_eq!(
        form(json!({"output_config": {"format": format}})),
        Form::Schema(schema.clone())
    );
    assert_eq!(
        form(json!({"output_format": format})),
        Form::Schema(schema.clone())
    );
    let second = json!({"name": "second", "input_schema": schema});
    let named = json!({"type": "tool", "name": "second"});
    assert_eq!(
        form(json!({"tools": [{"name": "first"}, second], "tool_choice": named})),
        tool(true)
    );
    assert_eq!(
        form(json!({"tools": [second], "tool_choice": {"type": "any"}})),
        tool(false)
    );
    assert_eq!(
        form(json!({"tools": [second], "tool_choice": {"type": "auto"}})),
        Form::Text
    );
}

#[test]
fn a_prompt_is_cached_up_to_its_last_mark() {
    let mark = json!({"type": "ephemeral"});
    let body = json!({"model": "m", "max_tokens": 1,
        "system": [{"type": "text", "text": "one two"}, {"type": "text", "text": "three", "cache_control": mark}],
        "messages": [{"content": "four"}]});
    let call = read(Protocol::Anthropic, &body).unwrap();
    let tokens: Vec<u32> = call.prefixes.iter().map(|prefix| prefix.tokens).collect();
    assert_eq!(tokens, [2, 3]);

    let whole = json!({"model": "m", "max_tokens": 1, "cache_control": mark,
        "system": [{"type": "text", "text": "one two"}, {"type": "text", "text": "three"}],
        "messages": [{"content": "four"}]});
    let longer = read(Protocol::Anthropic, &whole).unwrap().prefixes;
    assert_eq!(longer.len(), 3);
    assert_eq!(longer[..2], call.prefixes);
    assert!(read(Protocol::OpenAi, &whole).unwrap().prefixes.is_empty());
}
