//! Enums whose numbers both sides share. Each name stands once: the enum, its list and the
//! way back from a number are made from it.

/// Declares an enum with fixed numbers, which must count up by one.
///
/// ```text
/// numbered! {
///     /// Why a stack ends where it does.
///     pub enum StackEnd: u16 { Complete = 0, Broken = 1 }
/// }
/// ```
///
/// It has `COUNT`, `ALL`, which is every variant in the order of the numbers, and `from_wire`, which is a
/// `match` and no table: in BPF a table would hide from the verifier what the number can be.
macro_rules! numbered {
    (
        $(#[$about:meta])*
        pub enum $name:ident: $number:ty {
            $($(#[$about_variant:meta])* $variant:ident = $value:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr($number)]
        pub enum $name {
            $($(#[$about_variant])* $variant = $value,)+
        }

        impl $name {
            /// How many there are.
            pub const COUNT: usize = [$($name::$variant),+].len();

            /// Every one, in the order of their numbers.
            pub const ALL: [$name; Self::COUNT] = [$($name::$variant),+];

            /// The one with this number, if there is one.
            #[inline(always)]
            #[must_use]
            pub const fn from_wire(number: $number) -> Option<$name> {
                match number {
                    $($value => Some($name::$variant),)+
                    _ => None,
                }
            }
        }

        const _: () = {
            let first = $name::ALL[0] as usize;
            let mut index = 0;
            while index < $name::COUNT {
                assert!($name::ALL[index] as usize == first + index);
                index += 1;
            }
        };
    };
}
pub(crate) use numbered;
