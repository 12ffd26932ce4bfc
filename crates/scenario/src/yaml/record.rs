//! `record!`: one definition that is the type, its reader, its JSON Schema and its documentation.

/// What is documented about one key of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDoc {
    /// The key, as written in a file.
    pub key: String,
    /// What it means.
    pub doc: String,
    /// Whether the key must be written.
    pub needed: bool,
}

/// A record: a map whose keys are known.
pub trait Record {
    /// What it is.
    fn doc() -> String;
    /// Its keys.
    fn field_docs() -> Vec<FieldDoc>;
    /// The key that a word alone stands for.
    fn short() -> Option<&'static str>;
}

/// Lines of a doc comment as one text.
pub fn doc_text(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ").trim().replace("  ", "\n\n")
}

/// Defines a record with public fields.
///
/// `short "key"` after the doc comment lets a value alone stand for that key. Of each field: the key, the name,
/// the type; `= value` is what it is when the key is not written, `=> check` looks at what is written.
/// `check path` at the end looks at the whole when every field is right.
#[macro_export]
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $(short $short:literal)?
        $what:literal $vis:vis struct $name:ident {
            $( $(#[doc = $fdoc:literal])* $key:literal $field:ident : $ty:ty $(= $default:expr)? $(=> $right:expr)? , )*
        }
        $(check $check:path)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $( $(#[doc = $fdoc])* $vis $field: $ty, )*
        }

        impl $crate::yaml::Value for $name {
            fn read(node: &$crate::yaml::Node, reader: &mut $crate::yaml::Reader) -> Option<Self> {
                let short = <[&'static str]>::first(&[$($short)?]).copied();
                let keys: &[&'static str] = &[$($key),*];
                let fields = reader.fields(node, $what, keys, short)?;
                $(
                    let default = <[fn() -> $ty]>::first(&[$(|| $default)?]).copied();
                    let $field = fields.take::<$ty>($key, reader, default);
                    $(
                        let $field = match (fields.node($key), $field) {
                            (Some(node), Some(value)) => ($right)(&value, node, reader).map(|()| value),
                            (_, value) => value,
                        };
                    )?
                )*
                let record = $name { $( $field: $field?, )* };
                $( $check(&record, node, reader)?; )?
                Some(record)
            }

            fn shape(shapes: &mut $crate::schema::Shapes) -> serde_json::Value {
                shapes.define(stringify!($name), |shapes| {
                    let mut shape = $crate::schema::RecordShape::new::<$name>();
                    $( shape.field::<$ty>($key, shapes); )*
                    shape.finish()
                })
            }
        }

        impl $crate::yaml::record::Record for $name {
            fn doc() -> String {
                $crate::yaml::record::doc_text(&[$($doc),*])
            }

            fn field_docs() -> Vec<$crate::yaml::record::FieldDoc> {
                vec![$($crate::yaml::record::FieldDoc {
                    key: $key.to_owned(),
                    doc: $crate::yaml::record::doc_text(&[$($fdoc),*]),
                    needed: <[&str]>::is_empty(&[$(stringify!($default))?])
                        && <$ty as $crate::yaml::Value>::absent().is_none(),
                }),*]
            }

            fn short() -> Option<&'static str> {
                <[&'static str]>::first(&[$($short)?]).copied()
            }
        }
    };
}

/// Defines an enum that is written as one of a few words.
#[macro_export]
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        $what:literal pub enum $name:ident {
            $( $(#[doc = $vdoc:literal])* $word:literal $variant:ident, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $( $(#[doc = $vdoc])* $variant, )*
        }

        impl $name {
            /// Every one of them with its word.
            pub const ALL: &[(&'static str, $name)] = &[$(($word, $name::$variant)),*];

            /// The word, as written in a file.
            pub fn word(self) -> &'static str {
                match self { $( $name::$variant => $word, )* }
            }
        }

        impl $crate::yaml::Value for $name {
            fn read(node: &$crate::yaml::Node, reader: &mut $crate::yaml::Reader) -> Option<Self> {
                reader.one_of(node, $what, $name::ALL)
            }

            fn shape(_: &mut $crate::schema::Shapes) -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),*] })
            }
        }
    };
}

pub use record;
pub use words;
