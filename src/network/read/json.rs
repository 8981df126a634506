//! JSON whose objects may hold a member twice. JSON allows it and leaves open what it means; a file put together by hand has it where
//! two outputs were pasted into one object.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Parses a document, or several one after the other (`jq -c`, files put together). Lists of one name are
/// joined, of other members the last counts; the names that occur twice are given, too.
pub(super) fn parse(text: &[u8]) -> Result<(Vec<Value>, Vec<String>), serde_json::Error> {
    let (mut twice, mut values) = (Vec::new(), Vec::new());
    let mut input = serde_json::Deserializer::from_slice(text);
    loop {
        values.push(Reader { twice: &mut twice }.deserialize(&mut input)?);
        let Err(error) = input.end() else { break };
        // Only what is an object or a list can be followed by another document.
        if !values.last().is_some_and(|value| value.is_object() || value.is_array()) {
            return Err(error);
        }
    }
    Ok((values, twice))
}

struct Reader<'a> {
    twice: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Reader { twice: &mut *self.twice })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Reader { twice: &mut *self.twice })?;
            let Some(known) = object.get_mut(&name) else {
                object.insert(name, value);
                continue;
            };
            match (known, value) {
                (Value::Array(known), Value::Array(more)) => known.extend(more),
                (known, value) => *known = value,
            }
            if !self.twice.contains(&name) {
                self.twice.push(name);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_value() {
        let text = r#"{"a":[1,-2,2.5,"x\n",true,null,{}],"big":99999999999999999999}"#;
        let (value, twice) = parse(text.as_bytes()).unwrap();
        assert_eq!(value, vec![serde_json::from_str::<Value>(text).unwrap()]);
        assert_eq!(twice, Vec::<String>::new());
        assert!(parse(b"{} x").is_err() && parse(b"{").is_err());
    }

    #[test]
    fn lists_of_one_name_are_joined() {
        let (value, twice) = parse(br#"{"Vpcs":[1],"n":1,"Vpcs":[2],"n":2}"#).unwrap();
        assert_eq!(
            (value, twice),
            (vec![json!({"Vpcs": [1, 2], "n": 2})], vec!["Vpcs".to_owned(), "n".to_owned()])
        );
    }
}
