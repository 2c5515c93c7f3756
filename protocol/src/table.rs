//! The macro behind the field tables in [`crate::messages`].

/// Defines message structs by their field tables.
///
/// A message names its versions and the first flexible one, or `never`; structs within it take the version of the
/// message. Fields stand in wire order, one a line:
///
/// ```text
/// name: Type = default, versions, nullable versions, tag number;
/// ```
///
/// - `= default` where it is not the type's own (zero, false, empty, null);
/// - `versions` have the field: `0..` or `4..=10`. Others skip it when writing and leave the default when
///   reading;
/// - `nullable versions` goes with an `Option` and says which versions know the null;
/// - `tag number` makes it a tagged field (KIP-482): written after the plain ones, and only if not the
///   default.
///   Tags ascend down the table.
macro_rules! message {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident $(: versions $versions:expr, flexible from $flexible:tt)? {
            $($table:tt)*
        }
    )*) => {
        $(
            message_struct! { $(#[$meta])* $name { $($table)* } }

            $(
                impl $crate::Message for $name {
                    const NAME: &'static str = stringify!($name);
                    const VERSIONS: std::ops::RangeInclusive<i16> = $versions;
                    const FLEXIBLE_FROM: i16 = message_struct!(@flexible $flexible);
                    const SCHEMA: &'static $crate::schema::Schema = &$name::SCHEMA;

                    fn encode(
                        &self,
                        out: &mut $crate::wire::Writer,
                        version: i16,
                    ) -> Result<(), $crate::wire::EncodeError> {
                        let layout = $crate::message::layout_to_encode::<Self>(version)?;
                        $crate::field::Field::write(self, out, layout)
                    }

                    fn decode(
                        input: &mut $crate::wire::Reader,
                        version: i16,
                    ) -> Result<Self, $crate::wire::DecodeError> {
                        let layout = $crate::message::layout_to_decode::<Self>(version)?;
                        $crate::field::Field::read(input, layout)
                    }
                }
            )?
        )*
    };
}

/// One struct of [`message!`]: the type, its defaults, its schema, reading and writing.
macro_rules! message_struct {
    (
        $(#[$meta:meta])*
        $name:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident: $type:ty $(= $default:expr)?, $versions:expr
                    $(, nullable $nullable:expr)? $(, tag $tag:literal)?;
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[doc = concat!("\n\nVersions `", stringify!($versions), "`" $(, ", default `", stringify!($default), "`")? $(, ", null in `", stringify!($nullable), "`")? $(, ", tag ", stringify!($tag))?, ".")]
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: message_struct!(@default $($default)?),)* }
            }
        }

        impl $name {
            const SCHEMA: $crate::schema::Schema = $crate::schema::Schema {
                name: stringify!($name),
                fields: &[$($crate::schema::Field {
                    name: stringify!($field),
                    is_in: |version| ($versions).contains(&version),
                    is_nullable_in: |_version| message_struct!(@contains _version $($nullable)?),
                    tag: message_struct!(@option $($tag)?),
                    kind: <$type as $crate::field::Field>::KIND,
                }),*],
            };
        }

        impl $crate::field::Field for $name {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Struct(&Self::SCHEMA);

            fn size_min(layout: $crate::field::Layout) -> usize {
                let mut size = usize::from(layout.flexible);
                $(
                    if message_struct!(@is_plain $($tag)?) && ($versions).contains(&layout.version) {
                        size += <$type as $crate::field::Field>::size_min(layout);
                    }
                )*
                size
            }

            fn write(
                &self,
                out: &mut $crate::wire::Writer,
                layout: $crate::field::Layout,
            ) -> Result<(), $crate::wire::EncodeError> {
                $(
                    if message_struct!(@is_plain $($tag)?) && ($versions).contains(&layout.version) {
                        $(
                            if self.$field.is_none() && !($nullable).contains(&layout.version) {
                                return Err($crate::wire::EncodeError::UnexpectedNull {
                                    field: stringify!($field),
                                    version: layout.version,
                                });
                            }
                        )?
                        $crate::field::Field::write(&self.$field, out, layout)?;
                    }
                )*
                if layout.flexible {
                    #[allow(unused_mut, reason = "most structs have no tagged fields")]
                    let mut tagged = $crate::field::TaggedFields::default();
                    $($(
                        if ($versions).contains(&layout.version) && self.$field != Self::default().$field {
                            tagged.put($tag, &self.$field, layout)?;
                        }
                    )?)*
                    tagged.finish(out);
                }
                Ok(())
            }

            fn read(
                input: &mut $crate::wire::Reader,
                layout: $crate::field::Layout,
            ) -> Result<Self, $crate::wire::DecodeError> {
                let mut message = Self::default();
                $(
                    if message_struct!(@is_plain $($tag)?) && ($versions).contains(&layout.version) {
                        message.$field = $crate::field::Field::read(input, layout)?;
                        $(
                            if message.$field.is_none() && !($nullable).contains(&layout.version) {
                                return Err($crate::wire::DecodeError::UnexpectedNull {
                                    field: stringify!($field),
                                });
                            }
                        )?
                    }
                )*
                if layout.flexible {
                    input.tagged_fields(|_tag, _field| {
                        $($(
                            if _tag == $tag && ($versions).contains(&layout.version) {
                                message.$field = $crate::field::read_tagged(_field, layout)?;
                            }
                        )?)*
                        Ok(())
                    })?;
                }
                Ok(message)
            }
        }

        impl $crate::field::Nullable for $name {
            const KIND_NULLABLE: $crate::schema::Kind = $crate::schema::Kind::NullableStruct(&Self::SCHEMA);

            fn size_min_nullable(_: $crate::field::Layout) -> usize {
                1
            }

            fn write_nullable(
                value: Option<&Self>,
                out: &mut $crate::wire::Writer,
                layout: $crate::field::Layout,
            ) -> Result<(), $crate::wire::EncodeError> {
                $crate::field::Presence::Plain.write_struct(value, out, layout)
            }

            fn read_nullable(
                input: &mut $crate::wire::Reader,
                layout: $crate::field::Layout,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                $crate::field::Presence::Plain.read_struct(input, layout)
            }

            fn write_nullable_tagged(
                value: Option<&Self>,
                out: &mut $crate::wire::Writer,
                layout: $crate::field::Layout,
            ) -> Result<(), $crate::wire::EncodeError> {
                $crate::field::Presence::Tagged.write_struct(value, out, layout)
            }

            fn read_nullable_tagged(
                input: &mut $crate::wire::Reader,
                layout: $crate::field::Layout,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                $crate::field::Presence::Tagged.read_struct(input, layout)
            }
        }
    };

    (@flexible never) => { i16::MAX };
    (@flexible $from:literal) => { $from };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@contains $version:ident) => { false };
    (@contains $version:ident $versions:expr) => { ($versions).contains(&$version) };
    (@option) => { None };
    (@option $tag:literal) => { Some($tag) };
    (@is_plain) => { true };
    (@is_plain $tag:literal) => { false };
}
