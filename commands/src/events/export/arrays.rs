//! Rows as typed columns in memory.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};

use crate::events::json::Json;
use crate::events::row::{Cell, Row};
use crate::events::shape::{Column, Type};

const UTC: &str = "UTC";

/// Rows being laid out.
pub(super) struct Arrays {
    schema: Arc<Schema>,
    arrays: Vec<Growing>,
}

enum Growing {
    Text(StringBuilder),
    Time(TimestampMillisecondBuilder),
    Flag(BooleanBuilder),
    Number(Int64Builder),
    Texts(ListBuilder<StringBuilder>),
    /// As text, written here first.
    Json(StringBuilder, Vec<u8>),
}

/// The columns as the files have them.
pub(super) fn schema(columns: &[Column]) -> Arc<Schema> {
    let field = |column: &Column| {
        let of = match column.of {
            Type::Text | Type::Json => DataType::Utf8,
            Type::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
            Type::Flag => DataType::Boolean,
            Type::Number => DataType::Int64,
            Type::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        };
        Field::new(column.name, of, !column.always)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

impl Arrays {
    pub(super) fn of(columns: &[Column]) -> Self {
        let growing = |column: &Column| match column.of {
            Type::Text => Growing::Text(StringBuilder::new()),
            Type::Time => Growing::Time(TimestampMillisecondBuilder::new()),
            Type::Flag => Growing::Flag(BooleanBuilder::new()),
            Type::Number => Growing::Number(Int64Builder::new()),
            Type::Texts => Growing::Texts(ListBuilder::new(StringBuilder::new())),
            Type::Json => Growing::Json(StringBuilder::new(), Vec::new()),
        };
        Self { schema: schema(columns), arrays: columns.iter().map(growing).collect() }
    }

    pub(super) fn add(&mut self, row: &Row<'_>) {
        for (array, cell) in self.arrays.iter_mut().zip(row) {
            array.add(cell);
        }
    }

    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(self.schema, self.arrays.into_iter().map(Growing::finish).collect())
    }
}

impl Growing {
    /// A cell is of its column's type; one that is not is absent.
    fn add(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Text(array), Cell::Text(text)) => array.append_option(text.as_deref()),
            (Self::Text(array), _) => array.append_null(),
            (Self::Time(array), Cell::Time(time_ms)) => array.append_option(*time_ms),
            (Self::Time(array), _) => array.append_null(),
            (Self::Flag(array), Cell::Flag(flag)) => array.append_option(*flag),
            (Self::Flag(array), _) => array.append_null(),
            (Self::Number(array), Cell::Number(number)) => array.append_option(i64::try_from(*number).ok()),
            (Self::Number(array), _) => array.append_null(),
            (Self::Texts(array), Cell::Texts(texts)) => {
                texts.iter().for_each(|text| array.values().append_value(text));
                array.append(true);
            }
            (Self::Texts(array), _) => array.append(true),
            (Self::Json(array, text), Cell::Json(json)) => array.append_option(written(json, text)),
            (Self::Json(array, _), _) => array.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut array) | Self::Json(mut array, _) => Arc::new(array.finish()),
            Self::Time(mut array) => Arc::new(array.finish().with_timezone(UTC)),
            Self::Flag(mut array) => Arc::new(array.finish()),
            Self::Number(mut array) => Arc::new(array.finish()),
            Self::Texts(mut array) => Arc::new(array.finish()),
        }
    }
}

fn written<'a>(json: &Json<'_>, text: &'a mut Vec<u8>) -> Option<&'a str> {
    text.clear();
    serde_json::to_writer(&mut *text, json).ok()?;
    std::str::from_utf8(text).ok()
}
