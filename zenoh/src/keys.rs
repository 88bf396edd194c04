//! The keys: `nsmpl/<site>/<camera>/<topic>`.

use std::fmt;

use neuralsmpl_packet::Kind;
use zenoh::bytes::Encoding;

use crate::limits::MAX_NAME;

/// First chunk of every key.
pub const ROOT: &str = "nsmpl";

/// What is published about a camera: the last part of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Pose packets, one frame each.
    Pose,
    /// Subject packets: one frame each when published, all kept ones when asked for.
    Subject,
    /// Status packets, one frame each.
    Status,
    /// Pose packets as JSON.
    PoseJson,
    /// Subject packets as JSON.
    SubjectJson,
    /// Status packets as JSON.
    StatusJson,
    /// The publisher's counters as JSON, once a second.
    Bridge,
    /// Liveliness token: there while the camera sends valid packets.
    Alive,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 8] = [
        Topic::Pose,
        Topic::Subject,
        Topic::Status,
        Topic::PoseJson,
        Topic::SubjectJson,
        Topic::StatusJson,
        Topic::Bridge,
        Topic::Alive,
    ];

    /// The end of the key.
    pub const fn suffix(self) -> &'static str {
        match self {
            Topic::Pose => "pose",
            Topic::Subject => "subject",
            Topic::Status => "status",
            Topic::PoseJson => "pose/json",
            Topic::SubjectJson => "subject/json",
            Topic::StatusJson => "status/json",
            Topic::Bridge => "bridge",
            Topic::Alive => "alive",
        }
    }

    /// The encoding of its samples: media type and schema with version.
    pub fn encoding(self) -> Encoding {
        let json = Encoding::APPLICATION_JSON;
        let frames = Encoding::APPLICATION_OCTET_STREAM;
        match self {
            Topic::Pose => frames.with_schema("nsmpl.pose.v1"),
            Topic::Subject => frames.with_schema("nsmpl.subject.v1"),
            Topic::Status => frames.with_schema("nsmpl.status.v1"),
            Topic::PoseJson => json.with_schema("nsmpl.pose.v1"),
            Topic::SubjectJson => json.with_schema("nsmpl.subject.v1"),
            Topic::StatusJson => json.with_schema("nsmpl.status.v1"),
            Topic::Bridge => json.with_schema("nsmpl.bridge.v1"),
            Topic::Alive => Encoding::ZENOH_BYTES,
        }
    }

    /// The topic of a kind's frames; `None` for kinds that this version does not know.
    pub const fn of(kind: Kind) -> Option<Topic> {
        match kind {
            Kind::Pose => Some(Topic::Pose),
            Kind::Subject => Some(Topic::Subject),
            Kind::Status => Some(Topic::Status),
            _ => None,
        }
    }
}

/// Why a name cannot be part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("is empty; expected 1 to {MAX_NAME} bytes")]
    Empty,
    /// Longer than [`MAX_NAME`].
    #[error("has {found} bytes; expected 1 to {MAX_NAME}")]
    Long {
        /// Bytes found.
        found: usize,
    },
    /// A character with a meaning in Zenoh's keys, or one that nobody can read.
    #[error(
        "contains {found:?}; expected none of / * $ # ? @ at the start, no space and no control character"
    )]
    Character {
        /// The first such character.
        found: char,
    },
}

/// Checks that a name can be one chunk of a key by Zenoh's rules, and can be typed in a shell.
///
/// # Errors
/// [`NameError`] with the first fault.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(NameError::Long { found: name.len() });
    }
    let bad = |c: char| "/*$#?".contains(c) || c.is_whitespace() || c.is_control();
    let leading = name.chars().next().filter(|c| *c == '@');
    match leading.or_else(|| name.chars().find(|c| bad(*c))) {
        Some(found) => Err(NameError::Character { found }),
        None => Ok(()),
    }
}

/// One camera: its site and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Camera {
    /// Name of the site.
    pub site: String,
    /// Name of the camera within the site.
    pub name: String,
}

impl Camera {
    /// The key of one of its topics.
    ///
    /// ```
    /// use neuralsmpl_zenoh::keys::{Camera, Topic};
    ///
    /// let camera = Camera { site: "hall".into(), name: "north".into() };
    /// assert_eq!(camera.key(Topic::Pose), "nsmpl/hall/north/pose");
    /// ```
    pub fn key(&self, topic: Topic) -> String {
        format!("{ROOT}/{}/{}/{}", self.site, self.name, topic.suffix())
    }
}

impl fmt::Display for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.site, self.name)
    }
}

/// Takes a key apart; `None` if it is none of ours.
///
/// ```
/// use neuralsmpl_zenoh::keys::{Topic, parse};
///
/// let (camera, topic) = parse("nsmpl/hall/north/pose/json").unwrap();
/// assert_eq!((camera.name.as_str(), topic), ("north", Topic::PoseJson));
/// assert!(parse("nsmpl/hall/pose").is_none());
/// ```
pub fn parse(key: &str) -> Option<(Camera, Topic)> {
    let mut chunks = key.splitn(4, '/');
    if chunks.next()? != ROOT {
        return None;
    }
    let (site, name, suffix) = (chunks.next()?, chunks.next()?, chunks.next()?);
    let topic = Topic::ALL.into_iter().find(|t| t.suffix() == suffix)?;
    let camera = Camera {
        site: site.into(),
        name: name.into(),
    };
    Some((camera, topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_parses_back() {
        let camera = Camera {
            site: "werk-2".into(),
            name: "süd_1".into(),
        };
        for topic in Topic::ALL {
            let key = camera.key(topic);
            assert_eq!(parse(&key), Some((camera.clone(), topic)));
            assert!(zenoh::key_expr::KeyExpr::new(key).is_ok());
        }
    }

    #[test]
    fn names_follow_the_rules_of_zenoh() {
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "", "a/b", "*", "a*", "$*", "a#", "a?b", "@adm", "a b", "a\n", &long,
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "hall-1", "north.2", "a@b", "süd"] {
            assert_eq!(check_name(good), Ok(()), "{good:?}");
        }
        assert_eq!(check_name("a*b/"), Err(NameError::Character { found: '*' }));
    }
}
