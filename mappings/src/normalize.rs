//! One canonical form for every value, so that equality of JSON is equality of meaning.
//!
//! [`canonical`] sends a raw value to the form of its field's type. What does not fit comes back as a [`Problem`]
//! that never repeats the value, which may be personal.

pub mod numbers;
pub mod phone;
pub mod text;
pub mod time;

use serde_json::Value;

use crate::model::FieldType;

/// Why a value has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable word for programs.
    pub code: &'static str,
    /// What was expected.
    pub message: String,
}

impl Problem {
    /// A problem with its word and its sentence.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a mapping rule adds to the type.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Two-letter region of phone numbers without a country code; `CN` when not told.
    pub region: Option<String>,
    /// Zone of times that carry none; UTC when not told.
    pub zone: Option<jiff::tz::TimeZone>,
    /// Format of dates and times, in the words of `strftime`; or `seconds`, `millis`. Of phones: `national`.
    pub format: Option<String>,
    /// Currency of amounts that carry none.
    pub currency: Option<String>,
    /// Amounts count minor units (分, cents).
    pub minor_units: bool,
    /// What parts the texts of a set that is one text.
    pub separator: Option<String>,
}

/// A raw value in the canonical form of a type. `Ok(None)`: an empty text, which says nothing.
pub fn canonical(kind: FieldType, raw: &Value, options: &Options) -> Result<Option<Value>, Problem> {
    match raw {
        Value::Null => return Ok(Some(Value::Null)),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        _ => {}
    }
    let value = match kind {
        FieldType::Text | FieldType::Enum => Value::String(text::plain(&scalar(raw)?)),
        FieldType::Name => Value::String(text::name(&scalar(raw)?)),
        FieldType::Email => Value::String(text::email(&scalar(raw)?)?),
        FieldType::TaxId => Value::String(text::tax_id(&scalar(raw)?)?),
        FieldType::Phone => phone::canonical(&scalar(raw)?, options.region.as_deref().unwrap_or("CN"))?,
        FieldType::Address => text::address(raw)?,
        FieldType::Set => text::set(raw, options.separator.as_deref())?,
        FieldType::Date => Value::String(time::date(&scalar(raw)?, options)?),
        FieldType::Instant => Value::String(time::instant(&scalar(raw)?, options)?),
        FieldType::Decimal => Value::String(numbers::decimal(&scalar(raw)?)?),
        FieldType::Integer => Value::String(numbers::integer(&scalar(raw)?)?),
        FieldType::Money => numbers::money(raw, None, options)?,
        FieldType::Boolean => Value::Bool(numbers::boolean(raw)?),
        FieldType::List => {
            raw.is_array().then(|| raw.clone()).ok_or_else(|| Problem::new("wrong_type", "expected a list"))?
        }
    };
    // A text of nothing but invisible characters is empty too.
    Ok(if value.as_str().is_some_and(str::is_empty) { None } else { Some(value) })
}

/// Text of a text, a number or a boolean; numbers as written, never through a float.
pub(crate) fn scalar(raw: &Value) -> Result<std::borrow::Cow<'_, str>, Problem> {
    match raw {
        Value::String(text) => Ok(text.as_str().into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(flag) => Ok(if *flag { "true" } else { "false" }.into()),
        _ => Err(Problem::new("wrong_type", "expected a text or a number, found a list or an object")),
    }
}
