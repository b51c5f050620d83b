//! Fields of a record by path. Only these are decoded, all others are skipped.

use std::{fmt, io::BufRead};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_avro_fast::de::{DeserializerConfig, DeserializerState, read::SliceRead};

use super::{Value, WriterSchema};

/// The most items of a list. Items of zero bytes would let a few bytes ask for any number of them.
const MAX_ITEMS: usize = 1 << 20;

/// Paths of fields, each with the number of the value that it becomes.
pub(crate) struct FieldPaths {
    /// Several where a field is needed whole and in parts: a record is read once for each.
    trees: Vec<PathNode>,
    count: usize,
}

/// The fields of a record that are needed.
#[derive(Debug, Default)]
struct PathNode {
    children: Vec<(String, Self)>,
    /// The numbers of the values that this field becomes.
    values: Vec<usize>,
}

impl FieldPaths {
    /// The fields at some paths. The same field may be named several times, whole and in parts.
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut trees, mut count) = (vec![PathNode::default()], 0);
        for (number, path) in paths.into_iter().enumerate() {
            let tree = trees.iter().position(|tree| tree.accepts(path)).unwrap_or_else(|| {
                trees.push(PathNode::default());
                trees.len() - 1
            });
            trees[tree].insert(path, number);
            count = number + 1;
        }
        Self { trees, count }
    }

    /// The values of the record at the start of some bytes, and the bytes after it.
    ///
    /// # Errors
    /// Why the bytes are not such a record.
    pub(crate) fn read<'de>(
        &self,
        schema: &WriterSchema,
        bytes: &'de [u8],
    ) -> Result<(Vec<Value<'de>>, &'de [u8]), String> {
        let mut values = vec![Value::Null; self.count];
        let mut left = 0;
        for node in &self.trees {
            let mut config = DeserializerConfig::new(&schema.schema);
            config.max_seq_size = MAX_ITEMS;
            let mut state = DeserializerState::with_config(SliceRead::new(bytes), config);
            let fields = RecordFields { node, values: &mut values };
            fields.deserialize(state.deserializer()).map_err(|error| error.to_string())?;
            left = state.into_reader().fill_buf().map_or(0, <[u8]>::len);
        }
        Ok((values, &bytes[bytes.len() - left..]))
    }
}

impl PathNode {
    /// Whether no field along a path is named whole by another, nor the field itself in parts.
    fn accepts(&self, path: &str) -> bool {
        let mut node = self;
        for name in path.split('.') {
            let Some((_, child)) = node.children.iter().find(|(own, _)| own == name) else {
                return node.values.is_empty();
            };
            node = child;
        }
        node.children.is_empty()
    }

    fn insert(&mut self, path: &str, number: usize) {
        let mut node = self;
        for name in path.split('.') {
            let known = node.children.iter().position(|(own, _)| own == name);
            let index = known.unwrap_or_else(|| {
                node.children.push((name.to_owned(), Self::default()));
                node.children.len() - 1
            });
            node = &mut node.children[index].1;
        }
        node.values.push(number);
    }
}

/// Reads the fields of a node into their values.
struct RecordFields<'a, 'de> {
    node: &'a PathNode,
    values: &'a mut [Value<'de>],
}

impl<'de> DeserializeSeed<'de> for RecordFields<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if let Some((last, others)) = self.node.values.split_last() {
            let value: Value<'de> = serde::Deserialize::deserialize(deserializer)?;
            others.iter().for_each(|number| self.values[*number] = value.clone());
            self.values[*last] = value;
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordFields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.node.children.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "a record with the fields {}", names.join(", "))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    // In another version of the schema the field may be something else than a record: then the fields of that are null, as
    // `WriterSchema::field_type` says too.

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bytes<E>(self, _value: &[u8]) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { node, values } = self;
        while let Some(child) = fields.next_key_seed(ChildOf(node))? {
            match child {
                Some(node) => fields.next_value_seed(RecordFields { node, values: &mut *values })?,
                None => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    /// The fields of every record of a list become lists.
    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        let Self { node, values } = self;
        let mut own = Vec::new();
        node.collect_values(&mut own);
        let mut lists = vec![Vec::new(); own.len()];
        let mut of_record = vec![Value::Null; values.len()];
        while records.next_element_seed(RecordFields { node, values: &mut of_record })?.is_some() {
            for (list, number) in lists.iter_mut().zip(&own) {
                list.push(std::mem::take(&mut of_record[*number]));
            }
        }
        for (list, number) in lists.into_iter().zip(own) {
            values[number] = Value::List(list);
        }
        Ok(())
    }
}

impl PathNode {
    /// The numbers of all values below.
    fn collect_values(&self, into: &mut Vec<usize>) {
        into.extend(&self.values);
        self.children.iter().for_each(|(_, child)| child.collect_values(into));
    }
}

/// Finds the child that a key names.
struct ChildOf<'a>(&'a PathNode);

impl<'a, 'de> DeserializeSeed<'de> for ChildOf<'a> {
    type Value = Option<&'a PathNode>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'a> Visitor<'_> for ChildOf<'a> {
    type Value = Option<&'a PathNode>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().find(|(name, _)| name == key).map(|(_, child)| child))
    }
}
