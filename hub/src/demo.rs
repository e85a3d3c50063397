//! `huiliu demo`: the real hub among pretended systems, through one scripted day.
//!
//! The hub is the very code of `huiliu serve`, on a deployment folder like any other ([`home`]). Around it stand the
//! twins of WeCom, a shop, two ERP ledgers and a mailbox ([`systems`]), filled as they would be before anybody connects them
//! ([`morning`]). [`day`] is what people do; [`play`] waits for what must follow, [`stage`] tells it. In the evening
//! [`summary`] gives the numbers, and [`verdict`] compares each system with [`expected`], a table written by hand.

mod day;
mod expected;
mod home;
mod morning;
mod play;
mod stage;
mod summary;
pub mod systems;
mod verdict;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::console::{self, Door};
use crate::deployment::Deployment;
use crate::language::Language;
use crate::run::{self, Bells};
use home::Home;
use morning::Cast;
use play::Play;
use stage::Stage;
use systems::Systems;
pub use verdict::Verdict;

/// How a demo is asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// The deployment folder, new; without it a temporary one, which is removed at the end.
    pub folder: Option<PathBuf>,
    /// End after the day, at most after so many seconds; without it the hub keeps running until it is stopped.
    pub seconds: Option<u64>,
    /// The reader's language.
    pub language: Language,
}

/// No write may arrive in this time. Every stream of the demo's schedules is pulled at least once meanwhile.
const SILENCE: Duration = Duration::from_secs(6);

/// The systems agree within this after the last scene.
const SETTLING: Duration = Duration::from_secs(20);

/// Plays the day and judges it. `meddle` is called before the verdict, with the systems in its hands: tests use it to
/// prove that damage is seen.
pub async fn run(options: &Options, meddle: impl FnOnce(&Systems)) -> Result<Verdict, String> {
    let systems = Systems::start().await?;
    let (home, listener, door) = Home::make(options.folder.as_deref(), &systems).await?;
    let deployment = tokio::task::block_in_place(|| home.open(&systems))?;
    let stage = Stage::new(options.language);
    let address = door.address.clone();
    let (engine, bells) = (deployment.engine.clone(), Bells::of(&deployment.engine));
    let mut play = Play { systems: &systems, engine, bells: bells.clone(), stage, missed: 0, found_again: 0 };
    greet(&play.stage, &home);
    // The hub comes to systems that have been at work for years: they are filled before it looks for the first time.
    let cast = morning::morning(&systems, &home.address).await?;
    systems.subscribe(&home.address);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut hub = tokio::spawn(serve(deployment, listener, door, bells, stopped));
    let limit = options.seconds.map(Duration::from_secs);
    let outcome = tokio::select! {
        outcome = play_and_judge(&mut play, &cast, meddle) => outcome,
        told = over(limit) => Err(told),
        ended = &mut hub => return Err(match ended {
            Ok(Err(told)) => told,
            _ => "the hub ended before the day did".to_owned(),
        }),
    };
    if outcome.is_ok() && limit.is_none() {
        linger(&play, &home, &cast, &address)?;
        run::asked_to_stop().await;
    }
    let _ = stop.send(());
    hub.await.map_err(|error| format!("the hub did not stop in order: {error}"))??;
    outcome
}

async fn serve(
    deployment: Deployment,
    listener: tokio::net::TcpListener,
    door: Door,
    bells: Bells,
    stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    // A dropped sender stops the hub as well.
    run::serve_until(deployment, listener, Some(door), bells, async move { drop(stopped.await) }).await
}

/// Ends when the time is up or somebody stops the demo, and says which.
async fn over(limit: Option<Duration>) -> String {
    let time = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => "the time is up and the day is not over; give --seconds more".to_owned(),
        () = run::asked_to_stop() => "stopped before the day was over".to_owned(),
    }
}

async fn play_and_judge(play: &mut Play<'_>, cast: &Cast, meddle: impl FnOnce(&Systems)) -> Result<Verdict, String> {
    day::day(play, cast).await?;
    let expected = expected::evening();
    let settling = Instant::now();
    while !Verdict::of(&expected, &play.systems.rows()).is_good() && settling.elapsed() < SETTLING {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    meddle(play.systems);
    play.stage.heading(
        "Evening. Everybody goes home; nothing may be written any more.",
        "傍晚，大家下班；此后不应再有写入。",
    );
    let before: u64 = play.systems.writes().values().sum();
    tokio::time::sleep(SILENCE).await;
    let late_writes = play.systems.writes().values().sum::<u64>() - before;
    let verdict = Verdict { late_writes, missed: play.missed, ..Verdict::of(&expected, &play.systems.rows()) };
    summary::tell(play).await?;
    summary::pronounce(play, &verdict, SILENCE.as_secs());
    Ok(verdict)
}

fn greet(stage: &Stage, home: &Home) {
    stage.heading(
        "Huiliu demo: a day with WeCom, a shop, two ERP ledgers and a mailbox, all of them on this machine",
        "汇流演示：企业微信、一家商店、两套 ERP 账和一个邮箱的一天，全部在本机",
    );
    stage.number("hub", "汇流", &home.address);
    stage.number("deployment folder", "部署目录", &home.folder.display().to_string());
    stage.heading(
        "Morning. Each system has its own customers, in its own spelling.",
        "早上，每个系统都有自己的客户，写法各不相同。",
    );
}

fn linger(play: &Play<'_>, home: &Home, cast: &Cast, console: &str) -> Result<(), String> {
    let stage = &play.stage;
    // As it was started: `target/release/huiliu` after `cargo run`.
    let program = std::env::args().next().unwrap_or_else(|| "huiliu".to_owned());
    let folder = home.folder.display();
    stage.heading(
        "The hub keeps running; ctrl-c stops it. Look at it from another terminal:",
        "汇流继续运行，按 ctrl-c 停止。可以在另一个终端里查看：",
    );
    let story = format!("why erp/customers/{}", cast.qingshan_erp);
    for (command, en, zh) in [
        ("status", "connections and streams", "连接与数据流"),
        ("show 13800138001", "a customer: who said what, and which word counts", "一个客户：谁说了什么，以谁为准"),
        (&story, "why a record did or did not sync", "一条记录为什么同步或没有同步"),
        ("review", "what waits for a person", "等待人工的问题"),
        ("export", "all customers as JSON Lines", "全部客户（JSON Lines）"),
    ] {
        stage.text(stage.language.pick(en, zh));
        stage.command(&format!("{program} -C {folder} {command}"));
    }
    if let Some(link) = tokio::task::block_in_place(|| console::first_link(&play.engine, console))? {
        stage.text(
            stage.language.pick("the console in a browser; the link works once", "浏览器中的控制台；链接只能用一次"),
        );
        stage.command(&link);
    }
    stage.number("well?", "运行状况", &format!("{}/healthz", home.address));
    stage.number("numbers", "指标", &format!("{}/metrics", home.address));
    Ok(())
}
