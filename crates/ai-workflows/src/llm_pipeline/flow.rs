//! What `LlmPipelineWorkflow` does: place, prepare, ask, join, clean up.

use workflow_types::{
    activities::DataDeclarations,
    failure::FailureCode,
    placement::place,
    proto::{
        Chunk, Content, DataKind, LlmPipelineOutput, Placement, PreprocessDataInput, PreprocessDataOutput,
        Preprocessing, Prompt, Stage, StepTiming, ValidateDataInput, ValidateDataOutput, content,
        generate_text_input::Request, generate_text_output, llm_pipeline_output,
    },
    request::{Format, Output, PipelineRequest},
};

use super::LlmPipelineWorkflow;
use crate::{
    clean_up,
    failures::{Failure, StepError},
    inference::{self, Answer, Question, Reply},
    lanes, plan, policy,
    saga::Saga,
    steps::Steps,
    usage,
};

/// Where the answer of a run is stored when it is stored.
const ANSWER: &str = "results/answer";

type Run = Steps<LlmPipelineWorkflow>;

/// Runs the request to its answer.
pub(super) async fn execute(
    run: &Run,
    request: PipelineRequest,
    saga: &mut Saga,
) -> Result<LlmPipelineOutput, StepError> {
    let mut placement = place(&request);
    // Every way on may stage something: preprocessing its chunks, and a call an answer that is too large to stay inline.
    register_discard(run, saga);
    if placement == Placement::AiWorker {
        enter(run, Stage::Inference);
        let prompt = prompt(&request, vec![request.content.clone().into()], true);
        match ask(run, &request, prompt, "call", request.output.store).await? {
            Reply::Answer(answer) => return Ok(finish(run, *answer, placement)),
            Reply::TooLong(_) => placement = Placement::DataWorker,
        }
    }
    let (prepared, mut timings) = prepare(run, &request).await?;
    let answer = answer_chunks(run, &request, &prepared).await?;
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
    };
    let checked: ValidateDataOutput = run
        .call(
            DataDeclarations::validate_data,
            input,
            policy::DOCUMENTS,
            Some(request.deadline),
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
            Some(request.deadline),
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
        return fitting(ask(run, request, prompt, "chunk/0", request.output.store).await?);
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
    let partial = partial_request(request);
    let partial = &partial;
    let answers = lanes::run(
        chunks.len(),
        request.preprocessing.max_concurrent_chunks,
        |index| async move {
            let prompt = prompt(partial, vec![chunk_content(&chunks[index])], false);
            let answer = fitting(ask(run, partial, prompt, &format!("chunk/{index}"), true).await?)?;
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
    let partial = PipelineRequest {
        instruction: reduce_instruction(request),
        ..partial_request(request)
    };
    let last = PipelineRequest {
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
            let prompt = prompt(&last, contents, false);
            let mut answer = fitting(ask(run, &last, prompt, "reduce/last", request.output.store).await?)?;
            let outcome = plan::worse(whole.output.outcome(), answer.output.outcome());
            absorb(&mut whole, &mut answer);
            answer.output.set_outcome(outcome);
            whole.output = answer.output;
            return Ok(whole);
        }
        let (partial, contents) = (&partial, &contents);
        let answers = lanes::run(
            contents.len(),
            request.preprocessing.max_concurrent_chunks,
            |index| async move {
                let prompt = prompt(partial, contents[index].clone(), false);
                fitting(ask(run, partial, prompt, &format!("reduce/{level}/{index}"), true).await?)
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
    step: &str,
    store: bool,
) -> Result<Reply, StepError> {
    let partial = store && !request.output.store;
    let reply = inference::ask(
        run,
        Question {
            step: step.to_owned(),
            request: Request::Prompt(prompt),
            on_unknown: request.on_unknown,
            store,
            store_name: if partial {
                format!("staged/answers/{step}")
            } else {
                ANSWER.to_owned()
            },
            within: request.deadline,
        },
    )
    .await?;
    if let Reply::Answer(answer) = &reply {
        run.ctx.state_mut(|state| {
            usage::add(&mut state.usage, &answer.usage);
            state.status.replayed_calls += answer.replayed;
        });
    }
    Ok(reply)
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

fn finish(run: &Run, answer: Answer, placement: Placement) -> LlmPipelineOutput {
    enter(run, Stage::Done);
    let output = answer.output;
    LlmPipelineOutput {
        outcome: output.outcome,
        answer: output.answer.map(|answer| match answer {
            generate_text_output::Answer::Text(text) => llm_pipeline_output::Answer::Text(text),
            generate_text_output::Answer::Json(value) => llm_pipeline_output::Answer::Json(value),
            generate_text_output::Answer::Blob(blob) => llm_pipeline_output::Answer::Blob(blob),
        }),
        served_model: output.served_model,
        usage: Some(answer.usage),
        steps: answer.steps,
        placement: placement.into(),
        chunks: 1,
        language: output.language,
        content_tokens: output.content_tokens,
        problems: output.problems,
        repairs: answer.repairs,
    }
}

fn prompt(request: &PipelineRequest, contents: Vec<Content>, normalize: bool) -> Prompt {
    Prompt {
        model: request.model.to_string(),
        system: request.system.clone(),
        instruction: request.instruction.clone(),
        contents,
        parameters: Some(request.parameters.clone().into()),
        output: Some(request.output.clone().into()),
        normalize: normalize && request.preprocessing.normalize,
    }
}

/// A chunk alone can't answer in the form that was asked for, so it answers in text.
fn partial_request(request: &PipelineRequest) -> PipelineRequest {
    PipelineRequest {
        output: Output {
            format: Format::Text,
            store: false,
        },
        ..request.clone()
    }
}

fn reduce_instruction(request: &PipelineRequest) -> Option<String> {
    request
        .preprocessing
        .reduce_instruction
        .clone()
        .or_else(|| request.instruction.clone())
}

fn preprocessing(request: &PipelineRequest) -> Preprocessing {
    let preparation = &request.preprocessing;
    Preprocessing {
        normalize: Some(preparation.normalize),
        chunk_tokens: preparation.chunk_tokens.map(count),
        chunk_overlap_tokens: Some(count(preparation.chunk_overlap_tokens)),
        max_concurrent_chunks: None,
        reduce_instruction: preparation.reduce_instruction.clone(),
    }
}

fn chunk_content(chunk: &Chunk) -> Content {
    Content {
        source: chunk.blob.clone().map(content::Source::Blob),
    }
}

fn answer_content(answer: &Answer) -> Option<Content> {
    let source = match answer.output.answer.clone()? {
        generate_text_output::Answer::Text(text) => content::Source::Text(text),
        generate_text_output::Answer::Blob(blob) => content::Source::Blob(blob),
        generate_text_output::Answer::Json(_) => return None,
    };
    Some(Content { source: Some(source) })
}

/// Takes over what a part used, and its outcome when that is worse.
fn absorb(whole: &mut Answer, part: &mut Answer) {
    usage::add(&mut whole.usage, &part.usage);
    whole.steps.append(&mut part.steps);
    whole.repairs += part.repairs;
    whole.replayed += part.replayed;
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

fn count<N: TryInto<i32>>(number: N) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
