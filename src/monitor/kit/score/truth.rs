//! The true class of rows: a column of text, or of integers that count classes.

use arrow::{
    array::{AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Schema},
};

use super::columns::is_text;
use crate::{
    batch::column_of,
    error::{Code, Diagnostic, Result, quoted_list},
};

/// The truth of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Null or empty.
    Missing,
    /// Not a class of the model.
    UnknownClass,
    /// The index of a class of the model.
    Class(usize),
}

/// The column with the true class, as the settings `truth` and `truth_classes` name it.
#[derive(Debug, Clone)]
pub(crate) struct TruthColumn {
    column: String,
    /// The setting `truth_classes`.
    order: Option<Vec<String>>,
    /// The classes of the model.
    classes: Vec<String>,
    /// The class of each integer; `None` for a column of text.
    numbered: Option<Vec<String>>,
}

impl TruthColumn {
    /// The column of the settings, to be bound.
    pub(crate) fn new(column: &str, truth_classes: Option<&[String]>) -> Self {
        let order = truth_classes.map(<[String]>::to_vec);
        Self { column: column.to_owned(), order, classes: Vec::new(), numbered: None }
    }

    /// The name of the column.
    pub(crate) fn name(&self) -> &str {
        &self.column
    }

    /// Finds out what the column holds, given the classes of the model: an empty list if the score does not list them, `None`
    /// if they have a diagnostic of their own.
    pub(crate) fn bind(&mut self, input: &Schema, classes: Option<&[String]>) -> Vec<Diagnostic> {
        let data_type = match input.field_with_name(&self.column) {
            Ok(field) => field.data_type(),
            Err(_) => return vec![self.wrong_type("missing", "name a column with the true class")],
        };
        let known = classes.unwrap_or_default();
        let mistakes = if is_text(data_type) {
            self.numbered = None;
            self.order.as_ref().map(|_| self.order_without_integers(data_type)).into_iter().collect()
        } else if is_integer(data_type) {
            self.numbered = Some(self.order.clone().unwrap_or_else(|| known.to_vec()));
            classes.map(|classes| self.integer_mistakes(data_type, classes)).unwrap_or_default()
        } else {
            let help = match value_type(data_type).is_floating() {
                true => "pandas makes floats of integers beside a missing value: write the classes as text or integers",
                false => "write the classes as text, or as integers from 0 in the order of the model's classes",
            };
            vec![self.wrong_type(&data_type.to_string(), help)]
        };
        self.classes = known.to_vec();
        mistakes
    }

    fn wrong_type(&self, found: &str, help: &str) -> Diagnostic {
        let message = format!("`truth` takes a column of text or integers, `{}` is {found}", self.column);
        Diagnostic::at("truth", Code::WrongColumn, message).help(help)
    }

    fn order_without_integers(&self, found: &DataType) -> Diagnostic {
        let message =
            format!("`truth_classes` is the order of classes that integers count, `{}` is {found}", self.column);
        let help = "leave it out: a column of text has the names of the classes";
        Diagnostic::at("truth_classes", Code::Conflict, message).help(help)
    }

    /// What keeps integers from counting classes.
    fn integer_mistakes(&self, found: &DataType, classes: &[String]) -> Vec<Diagnostic> {
        let column = &self.column;
        if classes.is_empty() {
            let message = format!("`{column}` is {found}, and the score does not list the classes that integers count");
            let help = "name a column of text";
            return vec![Diagnostic::at("truth", Code::WrongColumn, message).help(help)];
        }
        let Some(order) = &self.order else {
            // A model with the classes `3`, `5` and labels 3 and 5: the names say one thing, the order another.
            let is_other = |(index, class): &(usize, &String)| {
                class.trim().parse::<i128>().is_ok_and(|number| usize::try_from(number) != Ok(*index))
            };
            let other = classes.iter().enumerate().find(is_other);
            return Vec::from_iter(other.map(|(index, class)| {
                let message = format!(
                    "`{column}` has integers, which count the classes of the model from 0, but class {index} is called `{class}`"
                );
                let help = "set `truth_classes` to the names of the classes in the order of the integers, from 0";
                Diagnostic::at("truth", Code::Conflict, message).help(help)
            }));
        };
        let mut mistakes = Vec::new();
        if let Some(twice) = (1..order.len()).find(|i| order[..*i].contains(&order[*i])) {
            let message = format!("`truth_classes` names `{}` twice", order[twice]);
            mistakes.push(Diagnostic::at("truth_classes", Code::Conflict, message));
        }
        if let Some(missing) = classes.iter().find(|class| !order.contains(class)) {
            let message = format!("`truth_classes` lacks `{missing}`, a class of the model");
            let help = format!(
                "list all classes of the truth in the order of the integers, from 0; those of the model are {}",
                quoted_list(classes)
            );
            mistakes.push(Diagnostic::at("truth_classes", Code::OutOfRange, message).help(help));
        }
        mistakes
    }

    /// The values of some rows.
    pub(crate) fn read(&self, batch: &RecordBatch) -> Result<TruthValues<'_>> {
        // Integers of any type and size are exact as text.
        let written = cast(column_of(batch, &self.column)?, &DataType::Utf8)?.as_string::<i32>().clone();
        Ok(TruthValues { of: self, written })
    }

    /// The truth of every row, and the first that is not a class, cut to 64 characters.
    pub(crate) fn truths(&self, batch: &RecordBatch) -> Result<(Vec<Truth>, Option<String>)> {
        let values = self.read(batch)?;
        let mut unknown_class = None;
        let truth = |row: usize| {
            let (truth, name) = values.row(row);
            if let (Truth::UnknownClass, Some(name)) = (truth, name) {
                unknown_class.get_or_insert_with(|| name.chars().take(64).collect());
            }
            truth
        };
        Ok(((0..batch.num_rows()).map(truth).collect(), unknown_class))
    }

    /// Warns of rows whose truth is not a class of the model; `name` is one of them.
    pub(crate) fn warn_unknown_classes(&self, monitor: &str, name: Option<&str>, rows: u64) {
        let Some(name) = name else { return };
        let is_number = self.numbered.is_none() && name.bytes().all(|byte| byte.is_ascii_digit());
        let hint = if is_number { ": it is text, and only a column of integers counts classes" } else { "" };
        tracing::warn!(monitor, rows, "the truth of some rows is not a class of the model, for example `{name}`{hint}");
    }
}

/// The true classes of some rows.
pub(crate) struct TruthValues<'a> {
    of: &'a TruthColumn,
    /// The values as text.
    written: StringArray,
}

impl TruthValues<'_> {
    /// The truth of a row and its name; an integer that is not a class is its own name.
    pub(crate) fn row(&self, row: usize) -> (Truth, Option<&str>) {
        use arrow::array::Array;

        let written = self.written.is_valid(row).then(|| self.written.value(row)).filter(|written| !written.is_empty());
        let Some(written) = written else { return (Truth::Missing, None) };
        let name = match &self.of.numbered {
            None => Some(written),
            Some(classes) => written.parse().ok().and_then(|number: usize| classes.get(number)).map(String::as_str),
        };
        let index = name.and_then(|name| self.of.classes.iter().position(|class| class == name));
        (index.map_or(Truth::UnknownClass, Truth::Class), Some(name.unwrap_or(written)))
    }
}

/// Whether a type is an integer, dictionaries of integers included.
fn is_integer(data_type: &DataType) -> bool {
    value_type(data_type).is_integer()
}

/// The type of the values of a dictionary, or the type itself.
fn value_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, value) => value_type(value),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            ArrayRef, DictionaryArray, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, UInt8Array,
            UInt16Array, UInt32Array, UInt64Array,
        },
        datatypes::{Int8Type, Int32Type},
    };

    use super::{
        Truth::{Class, Missing, UnknownClass},
        *,
    };

    const CLASSES: [&str; 3] = ["Disk, Face-on", "[merger]", "étoile \"K\""];

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn batch(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([("label", column, true)]).expect("rows")
    }

    /// The truths of a column, and the first that is not a class.
    fn truths(column: ArrayRef, order: Option<&[String]>) -> (Vec<Truth>, Option<String>) {
        let batch = batch(column);
        let mut truth = TruthColumn::new("label", order);
        assert_eq!(truth.bind(batch.schema_ref(), Some(&names(&CLASSES))), []);
        truth.truths(&batch).expect("truths")
    }

    fn mistakes(column: ArrayRef, order: Option<&[&str]>, classes: &[&str]) -> Vec<String> {
        let order = order.map(names);
        let mut truth = TruthColumn::new("label", order.as_deref());
        let mistakes = truth.bind(batch(column).schema_ref(), Some(&names(classes)));
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn text_names_classes_in_any_encoding() {
        let long = "x".repeat(100);
        let values = [Some("[merger]"), None, Some(""), Some(&long), Some("1"), Some("étoile \"K\"")];
        let plain: StringArray = values.into_iter().collect();
        let dictionary: DictionaryArray<Int32Type> = values.into_iter().collect();
        let large = cast(&plain, &DataType::LargeUtf8).expect("text");
        for column in [Arc::new(plain) as ArrayRef, Arc::new(dictionary), large] {
            let (truth, unknown) = truths(column, None);
            assert_eq!(truth, [Class(1), Missing, Missing, UnknownClass, UnknownClass, Class(2)]);
            assert_eq!(unknown, Some("x".repeat(64)));
        }
    }

    #[test]
    fn integers_of_any_type_count_the_classes_of_the_model() {
        let columns: [ArrayRef; 8] = [
            Arc::new(Int8Array::from(vec![Some(2), None, Some(0), Some(3)])),
            Arc::new(Int16Array::from(vec![Some(2), None, Some(0), Some(3)])),
            Arc::new(Int32Array::from(vec![Some(2), None, Some(0), Some(3)])),
            Arc::new(Int64Array::from(vec![Some(2), None, Some(0), Some(3)])),
            Arc::new(UInt8Array::from(vec![Some(2), None, Some(0), Some(3)])),
            Arc::new(UInt16Array::from(vec![Some(2), None, Some(0), Some(3)])),
            Arc::new(UInt32Array::from(vec![Some(2), None, Some(0), Some(3)])),
            Arc::new(UInt64Array::from(vec![Some(2), None, Some(0), Some(3)])),
        ];
        for column in columns {
            let kind = column.data_type().clone();
            let expected = (vec![Class(2), Missing, Class(0), UnknownClass], Some("3".to_owned()));
            assert_eq!(truths(column, None), expected, "{kind}");
        }
        let keys = Int8Array::from(vec![Some(1), Some(0), None]);
        let dictionary = DictionaryArray::<Int8Type>::new(keys, Arc::new(Int64Array::from(vec![0, 2])));
        assert_eq!(truths(Arc::new(dictionary), None).0, [Class(2), Class(0), Missing]);
    }

    #[test]
    fn integers_that_are_not_classes_are_unknown_whatever_their_size() {
        let signed: ArrayRef = Arc::new(Int64Array::from(vec![-1, i64::MIN, i64::MAX]));
        assert_eq!(truths(signed, None), (vec![UnknownClass; 3], Some("-1".to_owned())));
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        assert_eq!(truths(unsigned, None), (vec![UnknownClass], Some("18446744073709551615".to_owned())));
    }

    #[test]
    fn integers_may_count_the_classes_in_another_order() {
        let order = names(&["étoile \"K\"", "planet, dwarf", "Disk, Face-on", "[merger]"]);
        let column: ArrayRef = Arc::new(Int32Array::from(vec![0, 1, 2, 3, 4]));
        let expected = [Class(2), UnknownClass, Class(0), Class(1), UnknownClass];
        let (truth, unknown) = truths(column.clone(), Some(&order));
        assert_eq!((truth.as_slice(), unknown.as_deref()), (&expected[..], Some("planet, dwarf")));
        let mut truth = TruthColumn::new("label", Some(&order));
        let batch = batch(column);
        truth.bind(batch.schema_ref(), Some(&names(&CLASSES)));
        let values = truth.read(&batch).expect("values");
        let name = |row| values.row(row).1.map(str::to_owned);
        assert_eq!([name(0), name(1), name(4)].map(Option::unwrap), ["étoile \"K\"", "planet, dwarf", "4"]);
    }

    #[test]
    fn an_unknown_integer_is_not_the_class_of_that_name() {
        let order = names(&["7", "x"]);
        let batch = batch(Arc::new(Int32Array::from(vec![7, 0])));
        let mut truth = TruthColumn::new("label", Some(&order));
        assert_eq!(truth.bind(batch.schema_ref(), Some(&order)), []);
        assert_eq!(truth.truths(&batch).expect("truths").0, [UnknownClass, Class(0)]);
    }

    #[test]
    fn columns_and_orders_that_cannot_be_used_are_mistakes() {
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![0]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.0]));
        let only = |mistakes: Vec<String>| match mistakes.as_slice() {
            [one] => one.clone(),
            other => panic!("{other:?}"),
        };
        let why = only(mistakes(floats, None, &CLASSES));
        assert!(
            why.contains("`truth` takes a column of text or integers, `label` is Float64") && why.contains("pandas")
        );
        let why = only(mistakes(integers.clone(), None, &[]));
        assert!(why.contains("does not list the classes that integers count"), "{why}");
        assert_eq!(mistakes(integers.clone(), None, &["0", "1"]), [""; 0]);
        for classes in [["1", "2"], ["1", "0"], ["-1", "x"]] {
            let why = only(mistakes(integers.clone(), None, &classes));
            assert!(why.contains(&format!("class 0 is called `{}`", classes[0])), "{why}");
        }
        assert_eq!(mistakes(integers.clone(), Some(&["0", "1", "2"]), &["1", "2"]), [""; 0]);
        let why = only(mistakes(text, Some(&["a", "b"]), &["a", "b"]));
        assert!(why.contains("`truth_classes` is the order of classes that integers count, `label` is Utf8"), "{why}");
        let why = mistakes(integers, Some(&["a", "a"]), &["a", "b"]);
        assert!(why[0].contains("`truth_classes` names `a` twice") && why[1].contains("lacks `b`, a class"), "{why:?}");
        let mut missing = TruthColumn::new("x", None);
        let why = missing.bind(batch(Arc::new(Int64Array::from(vec![0]))).schema_ref(), None)[0].message.clone();
        assert_eq!(why, "`truth` takes a column of text or integers, `x` is missing");
    }
}
