//! A parser's tree in a generic form: node name → fields. What serde_json's `Value` would be, but names are those of the types themselves and
//! nothing is allocated for them, so that a tree costs a tenth of the memory and a third of the time.

use serde::ser::{self, Serialize};
use std::fmt::Display;
use std::ops::{Index, IndexMut};

/// A part of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Nothing there.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// Trees hold no other numbers.
    Number(i64),
    /// Also the name of a variant that holds nothing.
    String(String),
    /// A list, or a tuple.
    Array(Vec<Value>),
    /// A structure; a variant that holds something is one with one field, of its name.
    Object(Fields),
}

/// The fields of a node, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(&'static str, Value)>);

/// The tree has something that is in no tree of statements: a map, a float, a number beyond i64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoTree(String);

/// Types that are nothing in the generic form: where the second parser's words stand.
const LEFT_OUT: [&str; 2] = ["Span", "AttachedToken"];
/// The second parser's expressions that are a name or a constant: they hold no query, so no relation.
const LEAVES: [&str; 3] = ["Identifier", "CompoundIdentifier", "Value"];

/// The generic form. Errors: [`NoTree`].
pub fn of(value: &impl Serialize) -> Result<Value, NoTree> {
    value.serialize(Maker)
}

/// The generic form of each of several. Errors: [`NoTree`].
pub fn statements(stmts: &[impl Serialize]) -> Result<Vec<Value>, NoTree> {
    stmts.iter().map(of).collect()
}

impl Fields {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The field of this name. There are few, and most names differ in length already.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Value)> {
        self.0.iter_mut().map(|(name, value)| (*name, value))
    }

    /// Keeps those for which `keep` is true.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// All values, by their names.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl Value {
    /// A node: `{"node": {kind: …}}`, as PostgreSQL's trees wrap each.
    pub fn node(kind: &'static str, fields: Value) -> Self {
        Self::object(vec![("node", Self::object(vec![(kind, fields)]))])
    }

    /// A structure of these fields.
    pub fn object(mut fields: Vec<(&'static str, Value)>) -> Self {
        fields.sort_unstable_by_key(|(name, _)| *name);
        Self::Object(Fields(fields))
    }

    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_object()?.get(name)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.as_object_mut()?.get_mut(name)
    }

    /// What a path leads to, `/field/0/field`: fields by name, elements of a list by number.
    pub fn pointer_mut(&mut self, path: &str) -> Option<&mut Value> {
        path.split('/').skip(1).try_fold(self, |at, step| match at {
            Self::Array(all) => all.get_mut(step.parse::<usize>().ok()?),
            other => other.get_mut(step),
        })
    }

    /// The same, not to be changed.
    pub fn pointer(&self, path: &str) -> Option<&Value> {
        path.split('/').skip(1).try_fold(self, |at, step| match at {
            Self::Array(all) => all.get(step.parse::<usize>().ok()?),
            other => other.get(step),
        })
    }

    /// Whether some field in it, at any depth, is such.
    pub fn has<'v>(&'v self, such: &mut impl FnMut(&str, &'v Value) -> bool) -> bool {
        match self {
            Self::Array(all) => all.iter().any(|value| value.has(such)),
            Self::Object(fields) => fields.iter().any(|(name, value)| such(name, value) || value.has(such)),
            _ => false,
        }
    }

    /// What is there, with nothing left in its place.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Nothing there.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// Whether it is a list.
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// Whether it is a structure.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The fields of a structure.
    pub fn as_object(&self) -> Option<&Fields> {
        if let Self::Object(fields) = self { Some(fields) } else { None }
    }

    /// The same, to be changed.
    pub fn as_object_mut(&mut self) -> Option<&mut Fields> {
        if let Self::Object(fields) = self { Some(fields) } else { None }
    }

    /// The elements of a list.
    pub fn as_array(&self) -> Option<&Vec<Value>> {
        if let Self::Array(all) = self { Some(all) } else { None }
    }

    /// The same, to be changed.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        if let Self::Array(all) = self { Some(all) } else { None }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// Yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(yes) = self { Some(*yes) } else { None }
    }

    /// A number.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// A number that is not below zero.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_i64().and_then(|number| number.try_into().ok())
    }
}

static NULL: Value = Value::Null;

impl Index<&str> for Value {
    type Output = Value;
    /// Null where there is no such field.
    fn index(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&NULL)
    }
}

impl Index<usize> for Value {
    type Output = Value;
    /// Null where there is no such element.
    fn index(&self, number: usize) -> &Value {
        self.as_array().and_then(|all| all.get(number)).unwrap_or(&NULL)
    }
}

impl IndexMut<&'static str> for Value {
    /// The field, which is made where there is none; so is the structure.
    fn index_mut(&mut self, name: &'static str) -> &mut Value {
        if !self.is_object() {
            *self = Self::Object(Fields::default());
        }
        let Self::Object(Fields(fields)) = self else { unreachable!("it was made") };
        let at = fields.binary_search_by(|(own, _)| (*own).cmp(name)).unwrap_or_else(|at| {
            fields.insert(at, (name, Value::Null));
            at
        });
        &mut fields[at].1
    }
}

impl IndexMut<usize> for Value {
    /// The element, which is made where there is none, with those before it; so is the list.
    fn index_mut(&mut self, number: usize) -> &mut Value {
        if !self.is_array() {
            *self = Self::Array(Vec::new());
        }
        let Self::Array(all) = self else { unreachable!("it was made") };
        if all.len() <= number {
            all.resize(number + 1, Value::Null);
        }
        &mut all[number]
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, text: &&str) -> bool {
        self.as_str() == Some(*text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<Vec<Value>> for Value {
    fn from(all: Vec<Value>) -> Self {
        Self::Array(all)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Makes a tree of what is serialized.
struct Maker;

/// A list, a structure or a variant in the making.
struct Making<T> {
    /// Of the variant; empty where it is none.
    variant: &'static str,
    parts: Vec<T>,
    /// Nothing comes of it.
    left_out: bool,
}

impl<T> Making<T> {
    fn new(variant: &'static str, length: usize) -> Self {
        Self { variant, parts: Vec::with_capacity(length.min(1 << 16)), left_out: false }
    }

    fn made(variant: &'static str, whole: Value) -> Value {
        if variant.is_empty() { whole } else { Value::object(vec![(variant, whole)]) }
    }
}

impl ser::Error for NoTree {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Made = Result<Value, NoTree>;

fn none(what: &str) -> Made {
    Err(NoTree(format!("{what} in a tree")))
}

/// Numbers of every kind become i64.
macro_rules! numbers {
    ($($name:ident: $type:ty),*) => {
        $(fn $name(self, number: $type) -> Made {
            i64::try_from(number).map_or_else(|_| none("a number beyond i64"), |number| Ok(Value::Number(number)))
        })*
    };
}

impl ser::Serializer for Maker {
    type Ok = Value;
    type Error = NoTree;
    type SerializeSeq = Making<Value>;
    type SerializeTuple = Making<Value>;
    type SerializeTupleStruct = Making<Value>;
    type SerializeTupleVariant = Making<Value>;
    type SerializeMap = ser::Impossible<Value, NoTree>;
    type SerializeStruct = Making<(&'static str, Value)>;
    type SerializeStructVariant = Making<(&'static str, Value)>;

    numbers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64);

    fn serialize_bool(self, yes: bool) -> Made {
        Ok(Value::Bool(yes))
    }
    fn serialize_f32(self, _: f32) -> Made {
        none("a float")
    }
    fn serialize_f64(self, _: f64) -> Made {
        none("a float")
    }
    fn serialize_char(self, char: char) -> Made {
        Ok(Value::String(char.to_string()))
    }
    fn serialize_str(self, text: &str) -> Made {
        Ok(Value::String(text.to_owned()))
    }
    fn serialize_bytes(self, _: &[u8]) -> Made {
        none("bytes")
    }
    fn serialize_none(self) -> Made {
        Ok(Value::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Made {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Made {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Made {
        Ok(Value::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Made {
        Ok(Value::String(variant.to_owned()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Made {
        if LEFT_OUT.contains(&name) { Ok(Value::Null) } else { value.serialize(self) }
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, name: &'static str, _: u32, variant: &'static str, value: &T) -> Made {
        if name == "Expr" && LEAVES.contains(&variant) {
            return Ok(Value::Null);
        }
        Ok(Value::object(vec![(variant, value.serialize(Self)?)]))
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Making<Value>, NoTree> {
        Ok(Making::new("", length.unwrap_or_default()))
    }
    fn serialize_tuple(self, length: usize) -> Result<Making<Value>, NoTree> {
        Ok(Making::new("", length))
    }
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Making<Value>, NoTree> {
        Ok(Making::new("", length))
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, length: usize) -> Result<Making<Value>, NoTree> {
        Ok(Making::new(variant, length))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, NoTree> {
        Err(NoTree("a map in a tree".to_owned()))
    }
    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, NoTree> {
        let left_out = LEFT_OUT.contains(&name);
        Ok(Making { left_out, ..Making::new("", if left_out { 0 } else { length }) })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, NoTree> {
        Ok(Making::new(variant, length))
    }
}

/// The kinds of list, which differ in their names only.
macro_rules! lists {
    ($($kind:ident $part:ident),*) => {
        $(impl ser::$kind for Making<Value> {
            type Ok = Value;
            type Error = NoTree;
            fn $part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoTree> {
                self.parts.push(value.serialize(Maker)?);
                Ok(())
            }
            fn end(self) -> Made {
                Ok(Self::made(self.variant, Value::Array(self.parts)))
            }
        })*
    };
}

lists!(SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);

/// The kinds of structure, which differ in their names only.
macro_rules! structures {
    ($($kind:ident),*) => {
        $(impl ser::$kind for Making<(&'static str, Value)> {
            type Ok = Value;
            type Error = NoTree;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NoTree> {
                if !self.left_out {
                    self.parts.push((name, value.serialize(Maker)?));
                }
                Ok(())
            }
            fn end(self) -> Made {
                Ok(if self.left_out { Value::Null } else { Self::made(self.variant, Value::object(self.parts)) })
            }
        })*
    };
}

structures!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
