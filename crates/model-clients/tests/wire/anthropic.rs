//! The client for the Messages API against the same provider.

mod failures;
mod streams;

use model_clients::anthropic::{Client, ModelOptions, Options};
use model_clients::prices::Prices;
use model_clients::settings::Timeouts;
use model_clients::{Billing, Error, GenerateResponse};

use crate::fake::Fake;
use crate::{Call, KEY, assert_discreet};

fn options(base_url: String) -> Options {
    Options {
        base_url,
        api_key: Some(KEY.into()),
        models: [(
            "small".to_owned(),
            ModelOptions {
                context_window: 4096,
                billing: Some(Billing::Free),
                ..ModelOptions::default()
            },
        )]
        .into(),
        timeouts: Timeouts {
            connect_seconds: 30.0,
            first_byte_seconds: 30.0,
            between_bytes_seconds: 30.0,
            whole_call_seconds: 60.0,
        },
        ..Options::default()
    }
}

async fn client(fake: &Fake, change: impl FnOnce(&mut Options)) -> Client {
    let mut options = options(fake.base_url());
    change(&mut options);
    Client::new(options, &Prices::shipped().unwrap()).await.unwrap()
}

/// Makes one call that must succeed.
async fn answer(fake: &Fake, change: impl FnOnce(&mut Options)) -> GenerateResponse {
    let response = Call::default().of(&client(fake, change).await).await.unwrap();
    assert_eq!(fake.requests().len(), 1);
    response
}

/// Makes one call that must fail, and checks what holds for every failure.
async fn failure(fake: &Fake, change: impl FnOnce(&mut Options)) -> Error {
    let error = Call::default().of(&client(fake, change).await).await.unwrap_err();
    assert_eq!(fake.requests().len(), 1, "the request is sent once");
    assert_discreet(&error);
    error
}
