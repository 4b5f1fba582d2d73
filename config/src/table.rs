//! `table!` declares a table of the file once; its struct, reader and schema all come from that.
//!
//! Each key is `KIND name: Type = default`, where KIND is one of
//! `default` (a setting, with what it is when left out),
//! `optional` (left out means something that depends on other keys),
//! `required` (leaving it out is a problem) and
//! `inner` (a table that may be left out because all of its keys may).

macro_rules! table {
    (
        $(#[doc = $about:literal])+
        $table:ident {
            $( $(#[doc = $doc:literal])+ $kind:ident $key:ident: $type:ty $(= $default:expr)?, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub(crate) struct $table {
            /// Where the table stands.
            #[allow(dead_code, reason = "not every table is a place of problems")]
            pub(crate) span: $crate::source::Span,
            $( $(#[doc = $doc])+ pub(crate) $key: $crate::table::setting!($kind $type), )+
        }

        impl $table {
            /// Reads the keys of `table`, which stands at `span`.
            pub(crate) fn read_keys(
                table: &toml::de::DeTable<'_>,
                span: $crate::source::Span,
                reader: &mut $crate::reader::Reader<'_, '_>,
            ) -> Self {
                reader.refuse_unknown(table, &[$( stringify!($key) ),+]);
                $( let $key = $crate::table::read!(
                    $kind $type, reader, table, span, stringify!($key) $(, $default)?
                ); )+
                Self { span, $( $key ),+ }
            }
        }

        impl $table {
            /// The keys that were typed, with the places of their values.
            #[allow(dead_code, reason = "the table of all tables has no such keys")]
            pub(crate) fn typed(&self) -> Vec<(&'static str, $crate::source::Span)> {
                let mut typed = Vec::new();
                $( $crate::table::typed!($kind self.$key, typed, stringify!($key)); )+
                typed
            }
        }

        impl $table {
            /// The table as it is when it is left out where `span` is.
            #[allow(dead_code, reason = "not every table may be left out")]
            pub(crate) fn left_out(
                span: $crate::source::Span,
                report: &mut $crate::problem::Report<'_>,
            ) -> Self {
                let mut reader = $crate::reader::Reader::new(report);
                Self::read_keys(&Default::default(), span, &mut reader)
            }
        }

        impl $crate::value::Value for $table {
            fn schema() -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                let mut required: Vec<&str> = Vec::new();
                $(
                    let mut property = <$type as $crate::value::Value>::schema();
                    let doc = $crate::table::description(&[$( $doc ),+]);
                    property["description"] = serde_json::Value::String(doc);
                    $( property["default"] = $crate::value::Value::show(&{ let value: $type = $default; value }); )?
                    if stringify!($kind) == "required" {
                        required.push(stringify!($key));
                    }
                    properties.insert(stringify!($key).to_owned(), property);
                )+
                serde_json::json!({
                    "type": "object",
                    "description": $crate::table::description(&[$( $about ),+]),
                    "properties": properties,
                    "required": required,
                    "additionalProperties": false,
                })
            }

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                reader: &mut $crate::reader::Reader<'_, '_>,
            ) -> Option<Self> {
                let Some(table) = value.get_ref().as_table() else {
                    reader.wrong_type(value, "a table");
                    return None;
                };
                Some(Self::read_keys(table, value.span().into(), reader))
            }

            fn show(&self) -> serde_json::Value {
                let mut shown = serde_json::Map::new();
                $( $crate::table::show!($kind self.$key, shown, stringify!($key)); )+
                serde_json::Value::Object(shown)
            }
        }
    };
}

macro_rules! setting {
    (default $type:ty) => { $crate::value::Setting<$type> };
    (inner $type:ty) => { $type };
    (optional $type:ty) => { Option<$crate::value::Setting<$type>> };
    (required $type:ty) => { Option<$crate::value::Setting<$type>> };
}

macro_rules! read {
    (default $type:ty, $reader:ident, $table:ident, $span:ident, $key:expr, $default:expr) => {
        match $reader.optional::<$type>($table, $key) {
            Some(setting) => setting,
            None => $crate::value::Setting::default($default),
        }
    };
    (inner $type:ty, $reader:ident, $table:ident, $span:ident, $key:expr) => {
        match $reader.optional::<$type>($table, $key) {
            Some(setting) => setting.value,
            None => $reader
                .at_key($key, |reader| <$type>::read_keys(&Default::default(), $span, reader)),
        }
    };
    (optional $type:ty, $reader:ident, $table:ident, $span:ident, $key:expr) => {
        $reader.optional::<$type>($table, $key)
    };
    (required $type:ty, $reader:ident, $table:ident, $span:ident, $key:expr) => {
        $reader.required::<$type>($table, $key, $span)
    };
}

macro_rules! show {
    (default $setting:expr, $shown:ident, $key:expr) => {
        $shown.insert($key.to_owned(), $crate::value::Value::show(&$setting.value));
    };
    (inner $setting:expr, $shown:ident, $key:expr) => {
        $shown.insert($key.to_owned(), $crate::value::Value::show(&$setting));
    };
    ($kind:ident $setting:expr, $shown:ident, $key:expr) => {
        if let Some(setting) = &$setting {
            $shown.insert($key.to_owned(), $crate::value::Value::show(&setting.value));
        }
    };
}

macro_rules! typed {
    (default $setting:expr, $typed:ident, $key:expr) => {
        $typed.extend($setting.span.map(|span| ($key, span)));
    };
    (inner $setting:expr, $typed:ident, $key:expr) => {};
    ($kind:ident $setting:expr, $typed:ident, $key:expr) => {
        $typed.extend($setting.as_ref().and_then(|setting| setting.span).map(|span| ($key, span)));
    };
}

pub(crate) use {read, setting, show, table, typed};

/// The lines of a doc comment as one text.
pub(crate) fn description(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
