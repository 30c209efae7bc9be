//! claimsmith as a function of AWS Lambda: events of function URLs and of API Gateway (version 2) in, the native engine,
//! answers out.
//!
//! Rules stand in the folder `rules` beside this program, settings in `claimsmith.toml` there and in `CLAIMSMITH_*`, as
//! for the program itself. Rules are loaded with the first event, as the extension that has the parameters answers no
//! sooner. A function has one event at a time, so what is written to the log is flushed before its answer.

mod parameters;
mod serving;

use std::sync::Arc;

use claimsmith::{
    config::{self, Flags, Format, Log},
    gateway::{flush_log, start_log},
};
use lambda_http::{Error, service_fn};
use tokio::sync::OnceCell;

use self::serving::Serving;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let settings = config::load(&Flags::default())?.settings;
    start_log(&Log { format: Format::Json, ..settings.log.clone() });
    let settings = Arc::new(settings);
    let serving: Arc<OnceCell<Serving>> = Arc::default();
    let answer = service_fn(move |event| {
        let (settings, serving) = (settings.clone(), serving.clone());
        async move {
            let answer = match serving.get_or_try_init(|| Serving::load(&settings)).await {
                Ok(serving) => serving.respond(event).await,
                Err(why) => {
                    tracing::error!(target: "claimsmith", why, "the rules cannot be loaded");
                    serving::unavailable()
                }
            };
            flush_log();
            Ok::<_, Error>(answer)
        }
    });
    lambda_http::run(answer).await
}
