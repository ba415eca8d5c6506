//! The maps with the unwind tables, as user space fills them: the large ones are
//! mapped, since a system call for each row would take longer than to find it.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    ptr::NonNull,
};

use anyhow::Context as _;
use aya::maps::{Array, HashMap, Map, MapData};
use leak_common::{
    ProcessId,
    unwind::{
        CHUNK_PAGES, CHUNK_ROWS, FileCode, FileKey, MAX_PYTHON_LAYOUTS, MAX_RULES, Page,
        PythonLayout, Row, Rule,
    },
};

use super::{Tracer, sys};

/// The unwind tables of the loaded programs. It can be sent to another thread.
pub struct TableMaps {
    rows: MappedArray<Row>,
    directory: MappedArray<Page>,
    rules: MappedArray<Rule>,
    files: Table<FileKey, FileCode>,
    spaces: Table<ProcessId, CodeSpace>,
    python_layouts: Array<MapData, Pod<PythonLayout>>,
}

impl std::fmt::Debug for TableMaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableMaps")
            .field("rows", &self.rows.length)
            .field("pages", &self.directory.length)
            .finish_non_exhaustive()
    }
}

/// A hash map, and its descriptor for reads of many entries at once.
struct Table<K, V> {
    map: HashMap<MapData, Pod<K>, Pod<V>>,
    descriptor: OwnedFd,
}

impl<K, V> Table<K, V>
where
    Pod<K>: aya::Pod,
    Pod<V>: aya::Pod,
{
    fn new(map: Map) -> anyhow::Result<Table<K, V>> {
        let (Map::HashMap(data) | Map::LruHashMap(data)) = &map else {
            anyhow::bail!("a map of the programs has another type than expected");
        };
        Ok(Table {
            descriptor: data.fd().as_fd().try_clone_to_owned()?,
            map: map.try_into()?,
        })
    }
}

/// What the programs keep of a process's code; only its key matters here.
type CodeSpace = [u64; 3];

#[repr(transparent)]
#[derive(Clone, Copy)]
struct Pod<T>(T);
// SAFETY: integers without padding (asserted beside the type).
unsafe impl aya::Pod for Pod<FileKey> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<FileCode> {}
// SAFETY: as above.
unsafe impl aya::Pod for Pod<PythonLayout> {}
// SAFETY: one word.
unsafe impl aya::Pod for Pod<ProcessId> {}
// SAFETY: three words.
unsafe impl aya::Pod for Pod<CodeSpace> {}

impl Tracer {
    /// The maps of the unwind tables; they can be taken once.
    ///
    /// # Errors
    /// They were taken before, or cannot be mapped.
    pub fn take_tables(&mut self) -> anyhow::Result<TableMaps> {
        let mut take = |name: &str| {
            self.ebpf
                .take_map(name)
                .with_context(|| format!("the map {name} is taken already"))
        };
        Ok(TableMaps {
            rows: MappedArray::new(take("ROWS")?, CHUNK_ROWS)?,
            directory: MappedArray::new(take("DIRECTORY")?, CHUNK_PAGES)?,
            rules: MappedArray::new(take("RULES")?, MAX_RULES)?,
            files: Table::new(take("FILES")?)?,
            spaces: Table::new(take("SPACES")?)?,
            python_layouts: take("PYTHON_LAYOUTS")?.try_into()?,
        })
    }
}

impl TableMaps {
    /// How many rows there is room for.
    #[must_use]
    pub fn row_capacity(&self) -> usize {
        self.rows.length
    }

    /// How many pages there is room for.
    #[must_use]
    pub fn page_capacity(&self) -> usize {
        self.directory.length
    }

    /// Writes rows. Readers must not know of them yet.
    pub fn write_rows(&mut self, first: usize, rows: &[Row]) {
        self.rows.write(first, rows);
    }

    /// Writes entries of the directory. Readers must not know of them yet.
    pub fn write_pages(&mut self, first: usize, pages: &[Page]) {
        self.directory.write(first, pages);
    }

    /// The rows of a page of the directory.
    #[must_use]
    pub fn rows_of(&self, page: usize) -> Vec<Row> {
        let Some(page) = self.directory.get(page) else {
            return Vec::new();
        };
        let first = page.first() as usize;
        let rows = first..first + usize::from(page.count());
        rows.filter_map(|row| self.rows.get(row)).collect()
    }

    /// The rule with a number.
    #[must_use]
    pub fn rule(&self, number: u16) -> Option<Rule> {
        self.rules.get(usize::from(number))
    }

    /// Writes the rule with a number.
    pub fn write_rule(&mut self, number: u16, rule: Rule) {
        self.rules.write(usize::from(number), &[rule]);
    }

    /// Tells the programs what is known of a file.
    ///
    /// # Errors
    /// The table of files is full.
    pub fn set_file(&mut self, key: FileKey, code: FileCode) -> anyhow::Result<()> {
        self.files
            .map
            .insert(Pod(key), Pod(code), 0)
            .context("cannot tell the programs of a file")
    }

    /// Everything that the programs know of files.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn files(&self) -> anyhow::Result<Vec<(FileKey, FileCode)>> {
        let mut files = Vec::new();
        sys::read_map(
            self.files.descriptor.as_fd(),
            |key: FileKey, code: FileCode| {
                files.push((key, code));
            },
        )
        .context("cannot read the table of files")?;
        Ok(files)
    }

    /// Lets the programs forget a file: they will ask for it.
    pub fn forget_file(&mut self, key: FileKey) {
        // It may be gone already.
        let _ = self.files.map.remove(&Pod(key));
    }

    /// Lets the programs look up all code anew, as if every process had just begun.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn renew_spaces(&mut self) -> anyhow::Result<()> {
        let mut processes = Vec::new();
        sys::read_map(
            self.spaces.descriptor.as_fd(),
            |process: ProcessId, _: CodeSpace| processes.push(process),
        )
        .context("cannot read the table of spaces")?;
        for process in processes {
            // It may have exited.
            let _ = self.spaces.map.remove(&Pod(process));
        }
        Ok(())
    }

    /// Tells the programs where an interpreter keeps its frames; numbers begin at 1.
    ///
    /// # Errors
    /// The kernel refused the write.
    pub fn set_python_layout(&mut self, number: u32, layout: PythonLayout) -> anyhow::Result<()> {
        anyhow::ensure!(
            (number as usize) < MAX_PYTHON_LAYOUTS,
            "too many kinds of interpreters"
        );
        self.python_layouts.set(number, Pod(layout), 0)?;
        Ok(())
    }
}

/// The values of an array map, in this process's memory.
#[derive(Debug)]
struct MappedArray<T> {
    start: NonNull<T>,
    length: usize,
    _map: MapData,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl<T: Send> Send for MappedArray<T> {}

impl<T: Copy> MappedArray<T> {
    fn new(map: Map, chunk: usize) -> anyhow::Result<MappedArray<T>> {
        let Map::Array(map) = map else {
            anyhow::bail!("a map of the programs has another type than expected");
        };
        let chunks = map.info()?.max_entries() as usize;
        let length = chunks * chunk;
        // SAFETY: a new mapping of memory that nobody else uses in this process.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("cannot map the unwind tables");
        }
        let start = NonNull::new(start.cast()).context("the unwind tables are mapped at 0")?;
        Ok(MappedArray {
            start,
            length,
            _map: map,
        })
    }

    fn get(&self, index: usize) -> Option<T> {
        // SAFETY: in bounds, and only this value writes there.
        (index < self.length).then(|| unsafe { *self.start.as_ptr().add(index) })
    }

    fn write(&mut self, first: usize, values: &[T]) {
        let end = first.checked_add(values.len());
        assert!(
            end.is_some_and(|end| end <= self.length),
            "tables are placed within their maps"
        );
        // SAFETY: in bounds, as just checked, and the programs only read.
        unsafe {
            std::ptr::copy_nonoverlapping(
                values.as_ptr(),
                self.start.as_ptr().add(first),
                values.len(),
            );
        }
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this size, and nothing points there any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length * size_of::<T>()) };
    }
}
