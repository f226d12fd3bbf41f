//! News of one topic as a stream of server-sent events (HTML Standard, section 9.2).
//!
//! It never ends because nothing happens, and never lives for ever: whoever is still
//! there comes back by itself and goes on from the last id.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use crate::frame::{FromServer, encode};
use crate::socket::{Gatekeeper, Standing};
use crate::watch::{News, Watch};

/// News are sent at most this often; what changes in between is one change.
const NEWS_EVERY: Duration = Duration::from_millis(50);

/// Something is sent at least this often: the router closes what is silent for 55 s,
/// and proxies on the way are often content with 30.
const COMMENT_EVERY: Duration = Duration::from_secs(20);

/// A stream ends after so long, spread over so much: connections move to new
/// processes and none is for ever, but never all at one moment.
const LIFE: Duration = Duration::from_secs(9 * 60);
const LIFE_SPREAD: Duration = Duration::from_secs(2 * 60);

/// The first text: how long to wait before coming back. Short, because an end is
/// planned; a browser whose server is away doubles it by itself.
const PREAMBLE: &str = "retry: 2000\n\n";

struct Events {
    watch: Watch,
    gatekeeper: Box<dyn Gatekeeper>,
    comments: Interval,
    begun: bool,
    ended: bool,
    news_at: Instant,
    /// The planned end, or the moment at which to leave a process that is leaving.
    end_at: Instant,
    draining: bool,
}

/// The text of the stream, until its end.
pub fn events(watch: Watch, gatekeeper: Box<dyn Gatekeeper>) -> impl Stream<Item = Bytes> {
    let now = Instant::now();
    let mut comments = interval_at(now + COMMENT_EVERY, COMMENT_EVERY);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end_at = now + LIFE + watch.share(LIFE_SPREAD);
    let events = Events {
        watch,
        gatekeeper,
        comments,
        begun: false,
        ended: false,
        news_at: now,
        end_at,
        draining: false,
    };
    stream::unfold(events, |mut events| async move {
        let text = events.next().await?;
        Some((Bytes::from(text), events))
    })
}

impl Events {
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            return Some(PREAMBLE.to_owned());
        }
        if self.ended {
            return None;
        }
        let hub = self.watch.hub().clone();
        let news = async {
            sleep_until(self.news_at).await;
            self.watch.news().await
        };
        tokio::select! {
            news = news => {
                self.news_at = Instant::now() + NEWS_EVERY;
                self.ended = news.position.is_none();
                Some(event(&news))
            }
            _ = self.comments.tick() => {
                // Somebody who signed out is told nothing more; a doubt is no reason.
                let may_stay = match self.gatekeeper.standing().await {
                    Ok(Standing::Nobody) => false,
                    Ok(Standing::Changed) => {
                        self.gatekeeper.may_follow(self.watch.topic()).await == Ok(true)
                    }
                    Ok(Standing::Same) | Err(()) => true,
                };
                may_stay.then(|| ":\n\n".to_owned())
            }
            within = hub.drained(), if !self.draining => {
                self.draining = true;
                self.end_at = Instant::now() + self.watch.share(within);
                let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                let drain = encode(&FromServer::Drain { within_ms });
                Some(format!("data: {drain}\n\n"))
            }
            () = sleep_until(self.end_at) => None,
        }
    }
}

/// The frames of some news, the last one with the position it leads to.
fn event(news: &News) -> String {
    let turns = news.turns.iter().map(|turn| format!("data: {turn}\n\n"));
    let mut text: String = turns.collect();
    if let Some(position) = &news.position {
        text.push_str(&format!("id: {position}\n"));
    }
    text.push_str(&format!("data: {}\n\n", news.state));
    text
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use slipway_core::{
        Epoch, JobId, JobKind, JobProgress, JobState, Position, Progress, Seq, Topic, UploadId,
    };

    use super::*;
    use crate::hub::Hub;
    use crate::socket::Verdict;

    struct Door(bool);

    impl Gatekeeper for Door {
        fn may_follow(&self, _: Topic) -> Verdict<bool> {
            Box::pin(async { Ok(true) })
        }

        fn standing(&self) -> Verdict<Standing> {
            let standing = if self.0 {
                Standing::Same
            } else {
                Standing::Nobody
            };
            Box::pin(async move { Ok(standing) })
        }
    }

    fn publish(hub: &Hub, topic: Topic, seq: i64, state: JobState) {
        let position = Position {
            epoch: Epoch::new("t", 0),
            seq: Seq::new(seq).unwrap(),
        };
        let progress = Progress::Job(JobProgress {
            kind: JobKind::Inspect,
            upload: UploadId::new(),
            state,
            step: None,
            done: 0,
            total: None,
            unit: "bytes".to_owned(),
            rate: None,
            attempt: 1,
            message: None,
        });
        hub.publish(topic, position, progress);
    }

    fn opened(
        since: Option<&str>,
        welcome: bool,
    ) -> (Hub, Topic, impl Stream<Item = Bytes> + use<>) {
        let (hub, topic) = (Hub::default(), Topic::Job(JobId::new()));
        let since = since.map(|since| since.parse().unwrap());
        let watch = Watch::new(&hub, topic, since);
        (hub, topic, events(watch, Box::new(Door(welcome))))
    }

    async fn text(stream: &mut (impl Stream<Item = Bytes> + Unpin)) -> String {
        String::from_utf8(stream.next().await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_state_has_the_position_it_leads_to_and_turns_come_before_it() {
        let (hub, topic, stream) = opened(None, true);
        let mut stream = Box::pin(stream);
        assert_eq!(text(&mut stream).await, "retry: 2000\n\n");

        publish(&hub, topic, 3, JobState::Running);
        let first = text(&mut stream).await;
        assert!(
            first.starts_with("id: t.0:3\ndata: {\"t\":\"snap\""),
            "{first}"
        );
        publish(&hub, topic, 4, JobState::Running);
        publish(&hub, topic, 5, JobState::Done);
        let second = text(&mut stream).await;
        let events: Vec<&str> = second.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 2, "{second}");
        assert!(events[0].starts_with("data: {\"t\":\"ev\""), "{second}");
        assert!(
            events[1].starts_with("id: t.0:5\ndata: {\"t\":\"up\""),
            "{second}"
        );

        hub.gone(topic);
        assert!(text(&mut stream).await.starts_with("data: {\"t\":\"gone\""));
        assert_eq!(stream.next().await, None);
        assert!(!hub.is_followed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_with_an_id_gets_only_what_they_lack() {
        let (hub, topic, stream) = opened(Some("t.0:3"), true);
        let mut stream = Box::pin(stream);
        text(&mut stream).await;

        publish(&hub, topic, 3, JobState::Running);
        publish(&hub, topic, 4, JobState::Done);

        let missed = text(&mut stream).await;
        assert!(
            missed.contains("id: t.0:4\ndata: {\"t\":\"up\""),
            "{missed}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_gives_a_sign_of_life_and_ends_as_planned() {
        let (hub, _, stream) = opened(None, true);
        let began = Instant::now();

        let texts: Vec<Bytes> = stream.collect().await;

        let lasted = began.elapsed();
        assert!((LIFE..LIFE + LIFE_SPREAD).contains(&lasted), "{lasted:?}");
        let signs = u64::try_from(texts.len() - 1).unwrap();
        assert_eq!(signs, lasted.as_secs() / COMMENT_EVERY.as_secs());
        assert!(texts[1..].iter().all(|text| &**text == b":\n\n"));
        assert!(!hub.is_followed());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_not_welcome_any_more_hears_no_more() {
        let (_, _, stream) = opened(None, false);

        let texts: Vec<Bytes> = stream.collect().await;

        assert_eq!(texts, [Bytes::from_static(PREAMBLE.as_bytes())]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_leaves_says_so_and_ends_the_stream_in_time() {
        let (hub, _, stream) = opened(None, true);
        let (began, within) = (Instant::now(), Duration::from_secs(8));
        hub.drain(within);

        let texts: Vec<Bytes> = stream.collect().await;

        assert_eq!(
            texts[1..],
            [Bytes::from_static(
                b"data: {\"t\":\"drain\",\"within_ms\":8000}\n\n"
            )]
        );
        assert!(began.elapsed() <= within);
    }
}
