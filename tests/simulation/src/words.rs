//! The words of scenarios: what can go wrong, and how systems store. The simulated systems and the twins over HTTP
//! (`tests/twins/src/script.rs`) read the same words and mean the same by them.

use serde::Deserialize;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal in $stages:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// Where it can be played.
            pub fn stages(self) -> Stages {
                match self {
                    $(Self::$variant => Stages::$stages,)*
                }
            }
        }
    };
}

/// Where a word can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// By the simulation and by the twins.
    Both,
    /// By the simulation alone: it is about the hub's own machine, or the twins have another word for it.
    Simulated,
    /// By the twins alone: it is about a wire or a vendor's own form.
    Wired,
}

words! {
    /// What can go wrong.
    Fault {
        /// A call of a system is lost.
        DropWebhook = "drop_webhook" in Both,
        /// It comes minutes later, after younger ones.
        DelayWebhook = "delay_webhook" in Both,
        /// It comes several times, under the same key and under others.
        RepeatWebhook = "repeat_webhook" in Both,
        /// It comes after the next one.
        ReorderWebhook = "reorder_webhook" in Wired,
        /// HTTP 500.
        ServerError = "server_error" in Both,
        /// HTTP 429 without a time.
        Limited = "limited" in Both,
        /// HTTP 429 with the time to wait.
        LimitedUntil = "limited_until" in Both,
        /// HTTP 200 with an error inside, which the manifest takes for a transient one.
        ErrorInside = "error_inside" in Both,
        /// The connection is cut before the system did anything.
        CutBefore = "cut_before" in Both,
        /// The connection is cut after the system did it.
        CutAfter = "cut_after" in Both,
        /// The reply is not readable: the stream stops, the delivery is given up, until a person looks.
        Garbled = "garbled" in Both,
        /// The reply ends in the middle, and says that it is whole.
        Truncated = "truncated" in Wired,
        /// A page in the middle is empty, and more follows.
        EmptyPage = "empty_page" in Both,
        /// A page is empty, and says that it is the last.
        EmptyEnd = "empty_end" in Both,
        /// Records change between two pages of a list.
        MovingPage = "moving_page" in Wired,
        /// The token is refused; where none can be renewed, a person resumes the connection.
        Expired = "expired" in Both,
        /// Fresh tokens are given, and the answer is lost: the old ones are spent.
        TokenLost = "token_lost" in Wired,
        /// The system refuses everything for minutes because of too many calls.
        Ban = "ban" in Both,
        /// An edit begins with its stamp and becomes visible seconds later.
        LateCommit = "late_commit" in Both,
        /// Many records are changed under one stamp.
        OneStamp = "one_stamp" in Wired,
        /// The system gives a record another id.
        Renamed = "renamed" in Both,
        /// The system makes one record of two.
        Merged = "merged" in Wired,
        /// A person deletes a record.
        Removed = "removed" in Simulated,
        /// A person deletes a record and restores it an hour later.
        Restored = "restored" in Simulated,
        /// A field bears another name.
        FieldRenamed = "field_renamed" in Wired,
        /// A field is no longer shown.
        FieldDropped = "field_dropped" in Wired,
        /// A field's texts have become lists of them.
        FieldRetyped = "field_retyped" in Wired,
        /// A field shows a word that nobody knows.
        ValueAdded = "value_added" in Wired,
        /// A write that does not name a certain field is refused.
        FieldRequired = "field_required" in Wired,
        /// The hub is killed between two steps, and started again.
        Crash = "crash" in Simulated,
        /// A table takes no writes for some seconds, so that transactions are abandoned.
        DiskFull = "disk_full" in Simulated,
    }
}

words! {
    /// How a system stores what it is given.
    Habit {
        /// Spaces at the ends are cut off.
        Trim = "trim" in Both,
        /// Every word of a title begins with a capital.
        TitleCase = "title_case" in Both,
        /// Phone numbers are written in groups.
        GroupPhones = "group_phones" in Both,
        /// Numbers lose what stands behind the point.
        Round = "round" in Wired,
        /// It has no word for former customers, and takes them for customers.
        CoerceFormer = "coerce_former" in Simulated,
        /// Its words for a life cycle are capital letters.
        Codes = "codes" in Simulated,
    }
}
