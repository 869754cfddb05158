//! What `LlmPipelineWorkflow` does: place, prepare, ask, join, clean up.

use workflow_types::{
    activities::DataDeclarations,
    failure::FailureCode,
    placement::place,
    proto::{
        Chunk, Content, DataKind, LlmPipelineOutput, Outcome, Placement, PreprocessDataInput,
        PreprocessDataOutput, Prompt, Stage, StepTiming, StreamTarget, ValidateDataInput, ValidateDataOutput,
        generate_text_input::Request, generate_text_output, llm_pipeline_output,
    },
    request::PipelineRequest,
};

use super::{
    LlmPipelineWorkflow,
    prompts::{answer_content, chunk_content, partial_request, preprocessing, prompt, reduce_instruction},
};
use crate::{
    clean_up,
    failures::{Failure, StepError},
    inference::{self, Answer, Question, Reply},
    lanes, plan, policy, review,
    saga::Saga,
    steps::Steps,
    supervision, usage,
};

/// Where the answer of a run is stored when it is stored.
const ANSWER: &str = "results/answer";
/// Where the answer is written while it is generated, below the run's prefix.
const STREAM: &str = "results/stream";
/// The most that is told of the way to the models that answered.
const MOST_ROUTE_STEPS: usize = 16;

type Run = Steps<LlmPipelineWorkflow>;

/// Runs the request to its answer, and has it reviewed when that was asked for.
pub(super) async fn run(
    run: &Run,
    request: PipelineRequest,
    saga: &mut Saga,
) -> Result<LlmPipelineOutput, StepError> {
    let mut output = Box::pin(supervision::within(run, execute(run, &request, saga))).await?;
    if let Some(spec) = &request.review {
        enter(run, Stage::Review);
        output = review::review(run, spec, &request.output.format, output).await?;
        if output.outcome() == Outcome::Rejected {
            clean_up::discard(run, true).await;
        }
    }
    run.ctx.state_mut(|state| state.status.set_stage(Stage::Done));
    Ok(output)
}

async fn execute(
    run: &Run,
    request: &PipelineRequest,
    saga: &mut Saga,
) -> Result<LlmPipelineOutput, StepError> {
    let mut placement = place(request);
    if request.stream_flush.is_some() {
        run.ctx
            .state_mut(|state| state.status.stream = Some(stream_prefix(run)));
    }
    // Every way on may stage something: preprocessing its chunks, and a call an answer that is too large to stay inline.
    register_discard(run, saga);
    if placement == Placement::AiWorker {
        enter(run, Stage::Inference);
        let prompt = prompt(request, vec![request.content.clone().into()], true);
        let reply = ask(run, request, prompt, last("call", request)).await?;
        match reply {
            Reply::Answer(answer) => return Ok(finish(run, *answer, placement)),
            Reply::TooLong(_) => placement = Placement::DataWorker,
        }
    }
    let (prepared, mut timings) = prepare(run, request).await?;
    let answer = answer_chunks(run, request, &prepared).await?;
    enter(run, Stage::Publishing);
    clean_up::discard(run, false).await;
    let mut output = finish(run, answer, placement);
    timings.append(&mut output.steps);
    output.steps = timings;
    output.chunks = count(prepared.chunks.len());
    output.language = prepared.language;
    output.content_tokens = prepared.content_tokens;
    Ok(output)
}

/// One question on the way to the answer.
struct Asked<'a> {
    step: &'a str,
    store: bool,
    /// The answer is the run's own, so it can be followed.
    last: bool,
}

fn last<'a>(step: &'a str, request: &PipelineRequest) -> Asked<'a> {
    Asked {
        step,
        store: request.output.store,
        last: true,
    }
}

fn partial(step: &str) -> Asked<'_> {
    Asked {
        step,
        store: true,
        last: false,
    }
}

/// Removes what the run staged, its results too; nobody will be given a reference to them.
pub(super) async fn compensate(run: &Run, saga: Saga) {
    enter(run, Stage::Compensating);
    saga.compensate().await;
}

async fn prepare(
    run: &Run,
    request: &PipelineRequest,
) -> Result<(PreprocessDataOutput, Vec<StepTiming>), StepError> {
    enter(run, Stage::Validating);
    let input = ValidateDataInput {
        content: Some(request.content.clone().into()),
        kind: DataKind::Text.into(),
        schema: None,
    };
    let checked: ValidateDataOutput = run
        .call(
            DataDeclarations::validate_data,
            input,
            policy::DOCUMENTS,
            Some(supervision::granted(run)),
        )
        .await?;
    enter(run, Stage::Preprocessing);
    let input = PreprocessDataInput {
        content: checked.content,
        model: request.model.to_string(),
        system: request.system.clone(),
        instruction: request.instruction.clone(),
        max_output_tokens: count(request.parameters.max_output_tokens),
        preprocessing: Some(preprocessing(request)),
        stage_prefix: run.scope.stage_prefix(),
        output: Some(request.output.clone().into()),
    };
    let prepared: PreprocessDataOutput = run
        .call(
            DataDeclarations::preprocess_data,
            input,
            policy::DOCUMENTS,
            Some(supervision::granted(run)),
        )
        .await?;
    if prepared.chunks.is_empty() {
        return Err(Failure::new(FailureCode::InvalidInput, "the content holds no text").into());
    }
    let mut timings = checked.steps;
    timings.extend(prepared.steps.iter().cloned());
    run.ctx
        .state_mut(|state| state.status.chunks_total = count(prepared.chunks.len()));
    Ok((prepared, timings))
}

async fn answer_chunks(
    run: &Run,
    request: &PipelineRequest,
    prepared: &PreprocessDataOutput,
) -> Result<Answer, StepError> {
    enter(run, Stage::Inference);
    if let [chunk] = prepared.chunks.as_slice() {
        let prompt = prompt(request, vec![chunk_content(chunk)], false);
        return fitting(ask(run, request, prompt, last("chunk/0", request)).await?);
    }
    let partials = map_chunks(run, request, &prepared.chunks).await?;
    enter(run, Stage::Reducing);
    reduce(run, request, partials, prepared.window_tokens).await
}

/// Asks for every chunk, a bounded number at once; partial answers are text and stay in the blob store.
async fn map_chunks(
    run: &Run,
    request: &PipelineRequest,
    chunks: &[Chunk],
) -> Result<Vec<Answer>, StepError> {
    let whole = &partial_request(request);
    let answers = lanes::run(
        chunks.len(),
        request.preprocessing.max_concurrent_chunks,
        |index| async move {
            let prompt = prompt(whole, vec![chunk_content(&chunks[index])], false);
            let answer = fitting(ask(run, whole, prompt, partial(&format!("chunk/{index}"))).await?)?;
            run.ctx.state_mut(|state| state.status.chunks_done += 1);
            Ok(answer)
        },
    )
    .await;
    answers.into_iter().collect()
}

/// Joins partial answers until one prompt holds them all, and asks for the whole.
async fn reduce(
    run: &Run,
    request: &PipelineRequest,
    mut partials: Vec<Answer>,
    window_tokens: i32,
) -> Result<Answer, StepError> {
    let mut whole = Answer::default();
    let joining = PipelineRequest {
        instruction: reduce_instruction(request),
        ..partial_request(request)
    };
    let final_request = PipelineRequest {
        instruction: reduce_instruction(request),
        ..request.clone()
    };
    for level in 0.. {
        let sizes: Vec<u32> = partials
            .iter()
            .map(|answer| answer.output.answer_tokens.unsigned_abs())
            .collect();
        let groups = plan::group_partials(&sizes, window_tokens.unsigned_abs())
            .map_err(|error| Failure::new(FailureCode::InvalidInput, error.to_string()))?;
        let done = groups.len() == 1;
        let contents: Vec<Vec<Content>> = groups
            .into_iter()
            .map(|group| partials[group].iter().filter_map(answer_content).collect())
            .collect();
        for answer in &mut partials {
            absorb(&mut whole, answer);
        }
        if done {
            let contents = contents.into_iter().next().unwrap_or_default();
            let prompt = prompt(&final_request, contents, false);
            let asked = last("reduce/last", request);
            let mut answer = fitting(ask(run, &final_request, prompt, asked).await?)?;
            let outcome = plan::worse(whole.output.outcome(), answer.output.outcome());
            absorb(&mut whole, &mut answer);
            answer.output.set_outcome(outcome);
            whole.output = answer.output;
            return Ok(whole);
        }
        let (joining, contents) = (&joining, &contents);
        let answers = lanes::run(
            contents.len(),
            request.preprocessing.max_concurrent_chunks,
            |index| async move {
                let prompt = prompt(joining, contents[index].clone(), false);
                fitting(ask(run, joining, prompt, partial(&format!("reduce/{level}/{index}"))).await?)
            },
        )
        .await;
        partials = answers.into_iter().collect::<Result<_, _>>()?;
    }
    Ok(whole)
}

async fn ask(
    run: &Run,
    request: &PipelineRequest,
    prompt: Prompt,
    asked: Asked<'_>,
) -> Result<Reply, StepError> {
    let stream = request.stream_flush.filter(|_| asked.last);
    let question = Question {
        step: asked.step.to_owned(),
        request: Request::Prompt(prompt),
        on_unknown: request.on_unknown,
        store: asked.store,
        store_name: if asked.last {
            ANSWER.to_owned()
        } else {
            format!("staged/answers/{}", asked.step)
        },
        within: None,
        model: request.model.clone(),
        fallback: request.fallback.clone(),
        tenant: request.tenant.clone(),
        stream: stream.map(|flush| StreamTarget {
            prefix: STREAM.to_owned(),
            flush_milliseconds: count(flush.as_millis()),
        }),
    };
    let reply = inference::ask(run, question).await;
    run.ctx.state_mut(|state| match &reply {
        Ok(Reply::Answer(answer)) => {
            usage::add(&mut state.usage, &answer.usage);
            state.status.replayed_calls += answer.replayed;
        }
        Err(StepError::Failed(failure)) => usage::add(&mut state.usage, &failure.usage),
        Ok(Reply::TooLong(_)) | Err(StepError::Cancelled) => {}
    });
    reply
}

/// Gives where the run's answer is readable while it is generated.
fn stream_prefix(run: &Run) -> String {
    format!("{}{STREAM}", run.scope.stage_prefix())
}

/// Chunks were cut with the model's own tokenizer; one that still doesn't fit means that the two workers disagree.
fn fitting(reply: Reply) -> Result<Answer, StepError> {
    match reply {
        Reply::Answer(answer) => Ok(*answer),
        Reply::TooLong(too_long) => {
            let message = format!(
                "a prepared prompt of {} tokens doesn't fit {}; both workers must know the model's real context window",
                too_long.prompt_tokens, too_long.available_tokens
            );
            Err(Failure::new(FailureCode::Internal, message).into())
        }
    }
}

fn finish(run: &Run, mut answer: Answer, placement: Placement) -> LlmPipelineOutput {
    let output = answer.output;
    let surplus = answer.route_trace.len().saturating_sub(MOST_ROUTE_STEPS);
    answer.route_trace.drain(..surplus);
    LlmPipelineOutput {
        outcome: output.outcome,
        answer: output.answer.map(|answer| match answer {
            generate_text_output::Answer::Text(text) => llm_pipeline_output::Answer::Text(text),
            generate_text_output::Answer::Json(value) => llm_pipeline_output::Answer::Json(value),
            generate_text_output::Answer::Blob(blob) => llm_pipeline_output::Answer::Blob(blob),
        }),
        served_by: output.served_by,
        // Also what calls used that brought nothing.
        usage: Some(run.ctx.state(|state| state.usage.clone())),
        steps: answer.steps,
        placement: placement.into(),
        chunks: 1,
        language: output.language,
        content_tokens: output.content_tokens,
        problems: output.problems,
        repairs: answer.repairs,
        route_trace: answer.route_trace,
        review: None,
        stream: run.ctx.state(|state| state.status.stream.clone()),
    }
}

/// Takes over what a part used, and its outcome when that is worse.
fn absorb(whole: &mut Answer, part: &mut Answer) {
    usage::add(&mut whole.usage, &part.usage);
    whole.steps.append(&mut part.steps);
    whole.repairs += part.repairs;
    whole.replayed += part.replayed;
    whole.route_trace.append(&mut part.route_trace);
    let outcome = plan::worse(whole.output.outcome(), part.output.outcome());
    whole.output.set_outcome(outcome);
}

fn register_discard(run: &Run, saga: &mut Saga) {
    let run = run.clone();
    saga.register(async move { clean_up::discard(&run, true).await });
}

fn enter(run: &Run, stage: Stage) {
    let known = run.ctx.state(|state| state.status.stage());
    if known != stage {
        run.ctx.state_mut(|state| state.status.set_stage(stage));
        run.show_stage(
            stage
                .as_str_name()
                .trim_start_matches("STAGE_")
                .to_lowercase()
                .as_str(),
        );
    }
}

/// Gives a number as the contracts have it.
pub(super) fn count<N: TryInto<i32>>(number: N) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
