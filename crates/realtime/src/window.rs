//! How much has been sent that a viewer may not have read.
//!
//! Buffers lie between us and a viewer: the kernels', and those of routers, which tell
//! nobody how full they are. So a viewer is asked, by pings that answer themselves, and
//! whoever does not answer is sent nothing more until then. It never counts what is
//! lost, because nothing is: what is not sent now is sent later, as it is then.

/// Bytes that may be under way unanswered: fifty small frames, or the snapshot of one
/// list. Over 200 ms there and back that is 80 KiB a second, more than anybody follows;
/// and below the 32 KiB at which the connection stops asking for more.
const UNREAD_MAX: u64 = 16 * 1024;

/// After so many bytes a viewer is asked, so that the answer to a reading one arrives
/// before it matters.
const ASK_AFTER: u64 = UNREAD_MAX / 2;

/// A question is told from those before by its number.
pub(crate) type Question = [u8; 4];

/// Counts bytes sent and answered.
#[derive(Default)]
pub(crate) struct Window {
    sent: u64,
    read: u64,
    /// The number of the last question, and what had been sent before it.
    asked: Option<(u32, u64)>,
    last_number: u32,
    due: bool,
}

impl Window {
    /// How many bytes may be sent now; the last frame may exceed them.
    pub(crate) fn room(&self) -> usize {
        let room = UNREAD_MAX.saturating_sub(self.sent - self.read);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Notes that so many bytes were sent.
    pub(crate) fn send(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Asks at the next opportunity, whatever was sent.
    pub(crate) fn ask(&mut self) {
        self.due = true;
    }

    /// The question that is to be asked now.
    pub(crate) fn question(&mut self) -> Option<Question> {
        let much = self.asked.is_none() && self.sent - self.read >= ASK_AFTER;
        if !(self.due || much) {
            return None;
        }
        self.due = false;
        self.last_number = self.last_number.wrapping_add(1);
        self.asked = Some((self.last_number, self.sent));
        Some(self.last_number.to_be_bytes())
    }

    /// Takes an answer; only one to the last question tells anything.
    pub(crate) fn answer(&mut self, payload: &[u8]) {
        if let Some((number, sent)) = self.asked
            && payload == number.to_be_bytes()
        {
            self.read = sent;
            self.asked = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_has_room_for_ever() {
        let mut window = Window::default();

        for _ in 0..10_000 {
            assert!(window.room() > 0);
            window.send(300);
            if let Some(question) = window.question() {
                window.answer(&question);
            }
        }
    }

    #[test]
    fn whoever_does_not_is_sent_little_more() {
        let (mut window, mut sent, mut asked) = (Window::default(), 0, 0);

        while window.room() > 0 {
            window.send(300);
            sent += 300;
            asked += usize::from(window.question().is_some());
        }

        assert!(sent <= UNREAD_MAX as usize + 300, "{sent}");
        assert_eq!(asked, 1, "one question is enough");
        window.answer(b"nonsense");
        assert_eq!(window.room(), 0);
    }

    #[test]
    fn a_question_can_be_asked_though_nothing_was_sent() {
        let mut window = Window::default();
        assert_eq!(window.question(), None);

        window.ask();

        assert!(window.question().is_some() && window.question().is_none());
    }
}
