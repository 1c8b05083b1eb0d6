//! What views have in common: they print, serialise and compare as structs of what their accessors give.

/// A value as it is serialised for reading.
#[cfg(feature = "serde")]
macro_rules! plain {
    ($value:expr) => {
        $value
    };
    ($value:expr, nanos) => {
        crate::signal::plain::Nanos($value)
    };
}

/// `Debug`, `Serialize` and equality of views, by these accessors. Those that are `in nanos` are times.
macro_rules! view {
    ($($view:ident { $($field:ident $(in $plain:ident)?),* $(,)? })*) => {$(
        impl fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($view))$(.field(stringify!($field), &self.$field()))*.finish()
            }
        }

        impl PartialEq for $view<'_> {
            fn eq(&self, other: &Self) -> bool {
                $(self.$field() == other.$field())&&*
            }
        }

        impl Eq for $view<'_> {}

        #[cfg(feature = "serde")]
        impl serde::Serialize for $view<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;

                let fields = [$(stringify!($field)),*].len();
                let mut view = serializer.serialize_struct(stringify!($view), fields)?;
                $(view.serialize_field(stringify!($field), &plain!(self.$field() $(, $plain)?))?;)*
                view.end()
            }
        }
    )*};
}

/// A record that is a range of a body: what all three have.
macro_rules! record {
    ($record:ident { $($field:ident $(in $plain:ident)?),* $(,)? }) => {
        impl $record {
            pub(crate) fn of(head: Head, body: Shared<Body>, at: At) -> Self {
                Self { head, body, at }
            }

            /// The record's own bytes, as they came: the protocol's message. O(1).
            pub fn bytes(&self) -> &[u8] {
                self.body.bytes(self.at)
            }

            /// Where it comes from: what it shares with others. A clone of it costs one atomic increment.
            pub fn source(&self) -> &Source {
                self.body.source(self.at)
            }

            /// The process that it is of.
            pub fn resource(&self) -> ResourceRef<'_> {
                self.source().resource()
            }

            /// The library that it is of.
            pub fn scope(&self) -> ScopeRef<'_> {
                self.source().scope()
            }

            /// The name of the service: its resource's, or `unknown_service`. O(1).
            pub fn service(&self) -> &str {
                self.source().service()
            }

            /// The service's namespace; empty if there is none. O(1).
            pub fn service_namespace(&self) -> &str {
                self.source().service_namespace()
            }

            /// A copy that keeps nothing of the request it came in, for those who keep some records for long: it owns its bytes,
            /// and shares only its [`source`](Self::source). A few allocations.
            pub fn detached(&self) -> Self {
                let (body, at) = Body::alone(self.bytes(), self.source());
                Self { head: self.head, body, at }
            }

            fn field(&self, number: u32) -> Option<Raw<'_>> {
                field_of(self.bytes(), number)
            }

            fn number_of(&self, number: u32) -> u64 {
                self.field(number).map_or(0, Raw::number)
            }
        }

        /// By content: how it was encoded does not matter.
        impl PartialEq for $record {
            fn eq(&self, other: &Self) -> bool {
                self.source() == other.source()
                    && (self.bytes() == other.bytes() || ($(self.$field() == other.$field())&&*))
            }
        }

        impl Eq for $record {}

        impl fmt::Debug for $record {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($record))$(.field(stringify!($field), &self.$field()))*.finish()
            }
        }

        /// Of a source that says nothing about itself.
        impl Default for $record {
            fn default() -> Self {
                Self::builder().build()
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $record {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;

                let fields = [$(stringify!($field)),*].len();
                let mut record = serializer.serialize_struct(stringify!($record), fields)?;
                $(record.serialize_field(stringify!($field), &plain!(self.$field() $(, $plain)?))?;)*
                record.end()
            }
        }
    };
}
