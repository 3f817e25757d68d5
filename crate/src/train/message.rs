//! The messages of a trainer, and the listener that they go to.

use std::fmt;
use std::mem::replace;

use crate::display;
use crate::live::Live;
use crate::record::Progress;

/// What a [`Trainer`](super::Trainer) has to say. Displays itself as the text that it prints by default.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// How far the run is, after each line of statistics.
    Progress(Progress),
    /// Something to know: where the run resumes, what was damaged.
    Notice(String),
    /// A sign that the training leads nowhere, with advice.
    Warning(String),
}

impl Message {
    /// Prints the text in a line of its own. A stdout that is closed, or on a full disk, does not end the training.
    pub(super) fn print(&self) {
        display::write(&format!("{self}\n"));
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Message::Progress(progress) => progress.fmt(f),
            Message::Notice(text) => f.write_str(text),
            Message::Warning(text) => write!(f, "warning: {text}"),
        }
    }
}

pub(super) type Listener = Box<dyn FnMut(Message) + Send>;

/// Sends messages to a listener. The first one prints them, but for progress that a live display shows.
pub(super) struct Reporter {
    listener: Listener,
    /// Whether the table of progress has its header.
    headed: bool,
}

impl Default for Reporter {
    fn default() -> Self {
        Reporter {
            listener: Box::new(|message| match message {
                Message::Progress(_) if Live::is_possible() => (),
                message => message.print(),
            }),
            headed: false,
        }
    }
}

impl Reporter {
    pub fn notice(&mut self, text: String) {
        (self.listener)(Message::Notice(text));
    }

    pub fn warning(&mut self, text: String) {
        (self.listener)(Message::Warning(text));
    }

    pub fn progress(&mut self, progress: Progress) {
        let first = !replace(&mut self.headed, true);
        (self.listener)(Message::Progress(Progress { first, ..progress }));
    }

    /// The next line of progress comes with a header.
    pub fn begin_table(&mut self) {
        self.headed = false;
    }

    /// Returns the listener before.
    pub fn replace_listener(&mut self, listener: Listener) -> Listener {
        replace(&mut self.listener, listener)
    }
}
