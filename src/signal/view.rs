//! What views have in common: they print, serialise and compare as structs of what their accessors
//! give.

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

/// `Debug`, `Serialize` and equality of views, by these accessors. Those that are `in nanos` are
/// times.
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

            /// Returns the record's own bytes, as they came: the protocol's message. O(1).
            pub fn bytes(&self) -> &[u8] {
                self.body.bytes(self.at)
            }

            /// Returns what it shares with other records. A clone of that costs one atomic
            /// increment.
            pub fn source(&self) -> &Source {
                self.body.source(self.at)
            }

            /// Returns its resource: what the process says about itself.
            pub fn resource(&self) -> ResourceRef<'_> {
                self.source().resource()
            }

            /// Returns its scope: the library that made it.
            pub fn scope(&self) -> ScopeRef<'_> {
                self.source().scope()
            }

            /// Returns the name of the service: its resource's, or `unknown_service`. O(1).
            pub fn service(&self) -> &str {
                self.source().service()
            }

            /// Returns the service's namespace; empty if there is none. O(1).
            pub fn service_namespace(&self) -> &str {
                self.source().service_namespace()
            }

            /// Copies the record out of what it came in: the copy owns its bytes, and shares only
            /// its [`source`](Self::source). A few allocations.
            ///
            /// A record that somebody holds (an answer, a bookmark's reader, the stream of
            /// evictions) keeps more than its own bytes: all of a request between 4 and 256 KiB,
            /// most of which is records, or else a piece of at most 256 KiB of one; of records that
            /// were built, or came few at a time, a chunk of at most 16 KiB and what its records
            /// share. Who holds few records for long holds copies. A [class of its
            /// own](crate::StoreBuilder::class) does so by itself.
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
