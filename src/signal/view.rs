//! Macros for the traits that borrowed views and records implement: they are printed, serialized
//! and compared as structs whose fields are the accessors' results.

/// Wraps an accessor's result for serialization; `in nanos` serializes a time.
#[cfg(feature = "serde")]
macro_rules! plain {
    ($value:expr) => {
        $value
    };
    ($value:expr, nanos) => {
        crate::signal::plain::Nanos($value)
    };
}

/// Implements `Debug`, `Serialize` and equality of views by these accessors. An accessor marked `in
/// nanos` returns a time.
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

/// Implements what all three record types have in common: a record is a range of a body.
macro_rules! record {
    ($record:ident { $($field:ident $(in $plain:ident)?),* $(,)? }) => {
        impl $record {
            pub(crate) fn of(head: Head, body: Shared<Body>, at: At) -> Self {
                Self { head, body, at }
            }

            /// Returns the record's own bytes as they arrived, encoded as the protocol's message.
            /// O(1).
            pub fn bytes(&self) -> &[u8] {
                self.body.bytes(self.at)
            }

            /// Returns the source that the record shares with other records. Cloning it costs one
            /// atomic increment.
            pub fn source(&self) -> &Source {
                self.body.source(self.at)
            }

            /// Returns whether two records have the same source, as far as that is seen without
            /// looking at it.
            #[inline]
            pub(crate) fn has_source_of(&self, other: &Self) -> bool {
                Body::same_source((&self.body, self.at), (&other.body, other.at))
            }

            /// Returns the record's resource, which describes the process that emitted it.
            pub fn resource(&self) -> ResourceRef<'_> {
                self.source().resource()
            }

            /// Returns the record's scope, which names the library that emitted it.
            pub fn scope(&self) -> ScopeRef<'_> {
                self.source().scope()
            }

            /// Returns the name of the service from the resource, or `unknown_service`. O(1).
            pub fn service(&self) -> &str {
                self.source().service()
            }

            /// Returns the service's namespace, or an empty text if there is none. O(1).
            pub fn service_namespace(&self) -> &str {
                self.source().service_namespace()
            }

            /// Copies the record out of its body. The copy owns its bytes and shares only its
            /// [`source`](Self::source) with other records. This takes a few allocations.
            ///
            /// A record that is held (by an answer, a reader of a bookmark or of the stream of
            /// evictions) retains more than its own bytes. If it came in a request between 4 and
            /// 256 KiB that consists mostly of records, it retains the whole request. If it was
            /// built, or arrived with few others, it retains a chunk of at most 16 KiB and the
            /// sources of the chunk's records. Otherwise it retains a piece of at most 256 KiB,
            /// copied from its request. To hold a few records for a long time, hold detached
            /// copies. A [class of its own](crate::StoreBuilder::class) detaches its records by
            /// itself.
            pub fn detached(&self) -> Self {
                let (body, at) = Body::alone(self.bytes(), self.source());
                Self { head: self.head, body, at }
            }

            /// Copies the records out of their bodies into one that only they share. This takes
            /// three allocations, however many records there are.
            ///
            /// Hold records that leave together, such as the spans of one trace, like this: they
            /// retain nothing but their bytes and their [sources](Self::source), and take less
            /// memory than records that were [detached](Self::detached) one by one. Each of them
            /// retains the bytes of all.
            pub fn detach_together(mut records: &mut [Self]) {
                while !records.is_empty() {
                    let (mut count, mut bytes) = (0, 0);
                    for record in records.iter() {
                        let after = bytes + record.at.length as usize;
                        if count > 0 && after > Gathered::MOST {
                            break;
                        }
                        (count, bytes) = (count + 1, after);
                    }
                    let (together, others) = records.split_at_mut(count);
                    records = others;
                    let mut gathered = Gathered::with_capacity(bytes);
                    for record in together.iter_mut() {
                        // Until the second loop the position belongs to a body that the record
                        // does not have yet. Nothing between reads it.
                        record.at = gathered.add(record.bytes(), record.source());
                    }
                    let body = Body::gathered(gathered);
                    together.iter_mut().for_each(|record| record.body = body.clone());
                }
            }

            fn field(&self, number: u32) -> Option<Raw<'_>> {
                field_of(self.bytes(), number)
            }

            fn number_of(&self, number: u32) -> u64 {
                self.field(number).map_or(0, Raw::number)
            }
        }

        /// Compares contents. Differences in the encoding do not matter.
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

        /// Returns an empty record with an empty source.
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
