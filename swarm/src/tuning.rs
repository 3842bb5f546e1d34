//! What a struct of tuned constants is made of: named fields with a value each, which a sweep can scale one by one.
//!
//! A *tuned* constant trades one good for another, and its best value can be looked for. A bound on what strangers
//! may use, and an interval that the protocol names, is none: those stand in [`crate::limits`].

use core::time::Duration;

/// A value that can be made larger or smaller.
pub trait Scale {
    /// This value times `factor`, rounded; a number stays at one at least.
    #[must_use]
    fn scale(self, factor: f64) -> Self;
}

impl Scale for f64 {
    fn scale(self, factor: f64) -> Self {
        self * factor
    }
}

impl Scale for Duration {
    fn scale(self, factor: f64) -> Self {
        Self::try_from_secs_f64(self.as_secs_f64() * factor).unwrap_or(Self::MAX)
    }
}

macro_rules! scale_numbers {
    ($($number:ty),+) => {$(
        impl Scale for $number {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "tuned numbers are small, and a sweep needs no more digits than a float has"
            )]
            fn scale(self, factor: f64) -> Self {
                (libm::round(self as f64 * factor) as Self).max(1)
            }
        }
    )+};
}

scale_numbers!(u32, u64, usize);

/// Declares a struct of tuned constants: `name: type = value` with a doc comment that says what it trades.
macro_rules! tuning {
    ($(#[$about:meta])* pub struct $Name:ident {
        $($(#[$trade:meta])+ $field:ident: $kind:ty = $value:expr),+ $(,)?
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $Name {
            $($(#[$trade])+ pub $field: $kind,)+
        }

        impl $Name {
            /// The values that peers run with.
            pub const DEFAULT: Self = Self { $($field: $value),+ };

            /// The names of all constants, in their order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];

            /// The same with the constant `name` times `factor`; `None`: there is no such constant.
            #[must_use]
            pub fn scaled(mut self, name: &str, factor: f64) -> Option<Self> {
                match name {
                    $(stringify!($field) => self.$field = $crate::tuning::Scale::scale(self.$field, factor),)+
                    _ => return None,
                }
                Some(self)
            }

            /// The value of the constant `name`, to be shown; `None`: there is no such constant.
            #[must_use]
            pub fn shown(&self, name: &str) -> Option<alloc::string::String> {
                match name {
                    $(stringify!($field) => Some(alloc::format!("{:?}", self.$field)),)+
                    _ => None,
                }
            }
        }

        impl Default for $Name {
            fn default() -> Self {
                Self::DEFAULT
            }
        }
    };
}

pub(crate) use tuning;

#[cfg(test)]
#[allow(unreachable_pub, reason = "the macro makes public items wherever it is used")]
mod tests {
    use core::time::Duration;

    tuning! {
        /// One of each kind.
        pub struct Sample {
            /// A time.
            pause: Duration = Duration::from_millis(30),
            /// A number.
            links: u32 = 3,
            /// A ratio.
            part: f64 = 0.5,
        }
    }

    #[test]
    fn each_constant_is_scaled_by_its_name() {
        let scaled = |name, factor| Sample::DEFAULT.scaled(name, factor).unwrap();
        assert_eq!(Sample::NAMES, ["pause", "links", "part"]);
        assert_eq!(scaled("pause", 2.0).pause, Duration::from_millis(60));
        assert_eq!(scaled("links", 0.5), Sample { links: 2, ..Sample::default() });
        assert_eq!(scaled("links", 0.0).links, 1);
        assert_eq!(scaled("part", 0.5).shown("part").unwrap(), "0.25");
        assert!(Sample::DEFAULT.scaled("none", 2.0).is_none() && Sample::DEFAULT.shown("none").is_none());
    }
}
