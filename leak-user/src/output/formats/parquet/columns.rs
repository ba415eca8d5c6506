//! The columns of a group of rows, one after the other.

use std::io;

use parquet::{
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    file::writer::{SerializedFileWriter, SerializedRowGroupWriter},
};

use super::other;

/// A group of rows whose columns are being written in the order of the schema.
pub(super) struct Columns<'a, W: io::Write + Send>(SerializedRowGroupWriter<'a, W>);

/// A list as it lies in a column: the items of all rows, and for each entry whether it is
/// there (definition) and whether it goes on with its row's list (repetition).
struct Flat<T> {
    values: Vec<T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl<'a, W: io::Write + Send> Columns<'a, W> {
    pub(super) fn of(file: &'a mut SerializedFileWriter<W>) -> io::Result<Columns<'a, W>> {
        Ok(Columns(file.next_row_group().map_err(other)?))
    }

    pub(super) fn close(self) -> io::Result<()> {
        self.0.close().map_err(other)?;
        Ok(())
    }

    /// A column of texts.
    pub(super) fn texts<'r>(&mut self, texts: impl Iterator<Item = &'r str>) -> io::Result<()> {
        let values: Vec<ByteArray> = texts.map(ByteArray::from).collect();
        self.write::<ByteArrayType>(&values, None, None)
    }

    /// A column of whole numbers.
    pub(super) fn numbers(&mut self, numbers: impl Iterator<Item = i64>) -> io::Result<()> {
        let values: Vec<i64> = numbers.collect();
        self.write::<Int64Type>(&values, None, None)
    }

    pub(super) fn reals(&mut self, reals: impl Iterator<Item = f64>) -> io::Result<()> {
        let values: Vec<f64> = reals.collect();
        self.write::<DoubleType>(&values, None, None)
    }

    pub(super) fn optional_texts<'r>(
        &mut self,
        texts: impl Iterator<Item = Option<&'r str>>,
    ) -> io::Result<()> {
        self.optional::<ByteArrayType>(texts.map(|text| text.map(ByteArray::from)))
    }

    pub(super) fn optional_numbers(
        &mut self,
        numbers: impl Iterator<Item = Option<i64>>,
    ) -> io::Result<()> {
        self.optional::<Int64Type>(numbers)
    }

    pub(super) fn optional_reals(
        &mut self,
        reals: impl Iterator<Item = Option<f64>>,
    ) -> io::Result<()> {
        self.optional::<DoubleType>(reals)
    }

    /// A column within a list of each row.
    pub(super) fn list<T, R, I>(
        &mut self,
        rows: impl Iterator<Item = R>,
        value: impl Fn(I) -> T::T,
    ) -> io::Result<()>
    where
        T: DataType,
        R: IntoIterator<Item = I>,
    {
        let flat = flatten(rows, |item| Some(value(item)), 1);
        self.write::<T>(
            &flat.values,
            Some(&flat.definitions),
            Some(&flat.repetitions),
        )
    }

    /// A column within a list of each row, of what an item may lack.
    pub(super) fn optional_list<T, R, I>(
        &mut self,
        rows: impl Iterator<Item = R>,
        value: impl Fn(I) -> Option<T::T>,
    ) -> io::Result<()>
    where
        T: DataType,
        R: IntoIterator<Item = I>,
    {
        let flat = flatten(rows, value, 2);
        self.write::<T>(
            &flat.values,
            Some(&flat.definitions),
            Some(&flat.repetitions),
        )
    }

    fn optional<T: DataType>(
        &mut self,
        values: impl Iterator<Item = Option<T::T>>,
    ) -> io::Result<()> {
        let (mut present, mut definitions) = (Vec::new(), Vec::new());
        for value in values {
            definitions.push(i16::from(value.is_some()));
            present.extend(value);
        }
        self.write::<T>(&present, Some(&definitions), None)
    }

    fn write<T: DataType>(
        &mut self,
        values: &[T::T],
        definitions: Option<&[i16]>,
        repetitions: Option<&[i16]>,
    ) -> io::Result<()> {
        let column = self.0.next_column().map_err(other)?;
        let mut column = column.expect("the schema has a column for every one written");
        column
            .typed::<T>()
            .write_batch(values, definitions, repetitions)
            .map_err(other)?;
        column.close().map_err(other)
    }
}

/// Lists as a column; `defined` is the level of a value that is there.
fn flatten<T, R: IntoIterator<Item = I>, I>(
    rows: impl Iterator<Item = R>,
    value: impl Fn(I) -> Option<T>,
    defined: i16,
) -> Flat<T> {
    let mut flat = Flat {
        values: Vec::new(),
        definitions: Vec::new(),
        repetitions: Vec::new(),
    };
    for row in rows {
        let before = flat.definitions.len();
        for item in row {
            flat.repetitions
                .push(i16::from(flat.definitions.len() > before));
            match value(item) {
                Some(value) => {
                    flat.definitions.push(defined);
                    flat.values.push(value);
                }
                None => flat.definitions.push(defined - 1),
            }
        }
        if flat.definitions.len() == before {
            flat.definitions.push(0);
            flat.repetitions.push(0);
        }
    }
    flat
}

/// A count as signed columns have it.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_lie_in_a_column_with_their_levels() {
        let rows = [vec![Some(1), None], vec![], vec![Some(2)]];
        let flat = flatten(rows.into_iter(), |item| item, 2);
        assert_eq!(flat.values, [1, 2]);
        assert_eq!(flat.definitions, [2, 1, 0, 2]);
        assert_eq!(flat.repetitions, [0, 1, 0, 0]);
    }
}
