//! What the bill says of calls that were answered, refused, broken off and left.

use chaos_provider::{
    Answer, Behaviour, Billed, By, Cut, Options, Outcome, Point, Price, Provider, Reply, Rule, Script, Text,
    sums,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{exchange, raw, request, streamed};

async fn priced(rules: impl IntoIterator<Item = Rule>) -> Provider {
    Provider::start(Options {
        script: Script::new(rules),
        prices: vec![Price {
            input_micros_per_million: 1_000_000,
            output_micros_per_million: 10_000_000,
            ..Price::default()
        }],
        ..Options::default()
    })
    .await
    .unwrap()
}

fn cut(after: Point) -> Reply {
    Reply::new(Behaviour::Cut {
        after,
        how: Cut::Close,
        token_delay_ms: 0,
    })
}

#[tokio::test]
async fn every_call_is_billed_for_what_was_done_for_it() {
    let words = Reply::new(Behaviour::Answer(Answer {
        text: Text::Words(4),
        ..Answer::default()
    }));
    let cases = [
        (words.clone(), 200, (2, 4), 42),
        (Reply::new(Behaviour::refused(529)), 529, (0, 0), 0),
        (cut(Point::Tokens(3)), 200, (2, 3), 32),
        (cut(Point::Head), 200, (2, 0), 2),
        (Reply::new(Behaviour::Garbage), 200, (2, 0), 2),
        (cut(Point::Tokens(3)).billed(Billed::Nothing), 200, (0, 0), 0),
        (cut(Point::Tokens(3)).billed(Billed::Whole), 200, (2, 23), 232),
    ];
    let provider = priced(cases.clone().map(|(reply, ..)| Rule::once(reply))).await;
    for (reply, status, tokens, cost) in cases {
        let answer = exchange(provider.address(), &streamed("two words"), "")
            .await
            .unwrap();
        assert_eq!(answer.status, status);
        let held = provider.requests().len();
        let ending = provider.wait_ended(held).await.pop().unwrap().ending.unwrap();
        let bill = ending.bill;
        assert_eq!((bill.prompt_tokens, bill.completion_tokens), tokens, "{reply:?}");
        assert_eq!(
            (bill.cost_micros, ending.status),
            (cost, Some(status)),
            "{reply:?}"
        );
    }
    let sum = &sums(&provider.requests(), By::Request)[0];
    assert_eq!((sum.calls, sum.answered, sum.refused, sum.broken), (7, 2, 1, 4));
    assert_eq!(
        (sum.prompt_tokens, sum.completion_tokens, sum.cost_micros),
        (10, 30, 310)
    );
}

#[tokio::test]
async fn no_call_is_billed_for_more_than_it_allowed() {
    let provider = priced([Rule::always(cut(Point::Tokens(9)))]).await;
    for stream in [true, false] {
        let body = request("p", &json!({"max_tokens": 5, "stream": stream}));
        exchange(provider.address(), &body, "").await.unwrap();
    }
    for call in provider.wait_ended(2).await {
        assert_eq!(call.ending.unwrap().bill.completion_tokens, 5);
    }
}

#[tokio::test]
async fn a_client_that_leaves_pays_for_what_was_generated() {
    let slow = Behaviour::Cut {
        after: Point::Tokens(2),
        how: Cut::Stall,
        token_delay_ms: 0,
    };
    let provider = priced([
        Rule::once(Reply::new(slow)),
        Rule::once(Reply::text("x").behind("never")),
    ])
    .await;
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(&raw(&streamed("p"), "")).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("word2") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
    drop(stream);
    provider.wait_ended(1).await;
    // This one leaves before anything is generated: the prompt was read for it all the same.
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream
        .write_all(&raw(&request("p", &json!({})), ""))
        .await
        .unwrap();
    provider.wait_for(2).await;
    drop(stream);
    let calls = provider.wait_ended(2).await;
    let bills: Vec<_> = calls
        .into_iter()
        .map(|call| call.ending.unwrap())
        .map(|ending| {
            (
                ending.outcome,
                ending.bill.prompt_tokens,
                ending.bill.completion_tokens,
            )
        })
        .collect();
    assert_eq!(bills, [(Outcome::ClientLeft, 1, 2), (Outcome::ClientLeft, 1, 0)]);
}
