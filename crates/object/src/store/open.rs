//! Opening a store: the index is opened, what the log says beyond it is applied, and
//! when there is no index, or it is damaged, it is built anew from all of the log.

use std::collections::VecDeque;
use std::sync::Arc;

use redb::{Database, Durability};
use world::files::{File, Files};

use super::index::backend::{Backend, Pages};
use super::index::books::{Books, Delta, Mark, set_durability};
use super::index::tables::Tables;
use super::index::turn::Turn;
use super::index::view::View;
use super::log::Log;
use super::record::{self, FORMAT, Header, PREFACE, Preface, Record};
use super::report::Opened;
use super::scan::{Found, Scanner};
use super::segments::{Kind, Segment, Segments};
use super::shared::Shared;
use super::space::Space;
use super::sweep::Sweep;
use super::writer::{Saved, Writer};
use super::{Settings, StoreError, clean::Clean, scrub::Scrubber, spare};
use crate::entry::{Location, Sequence};

/// The index's file.
const INDEX: &str = "index";
/// A file that says that the index is damaged.
pub(super) const DAMAGED: &str = "index.damaged";
/// Records that are applied in one transaction.
const STEP: usize = 4096;

type Parts<F> = (Arc<Shared<F>>, Writer<F>, Opened);

type Index<F> = (Database, Arc<Pages<<F as Files>::File>>);

/// The index, what is known beside it, and the number of the next batch.
type Known<F> = (Index<F>, Books, u64);

/// What is found in the log.
struct Replay<'r, F: Files> {
    segments: &'r Segments<F>,
    database: &'r Database,
    books: Books,
    mark: Mark,
    opened: &'r mut Opened,
    waiting: Vec<(Record, Sequence, Location)>,
}

/// Opens a store.
pub(super) fn open<F: Files>(files: F, settings: Settings) -> Result<Parts<F>, StoreError> {
    let names = files.names()?;
    let segments = Arc::new(Segments::open(files)?);
    let damaged = names.iter().any(|name| name == DAMAGED);
    let mut spare = names.iter().any(|name| name == spare::NAME);
    let mut found = index(&segments, &settings, damaged);
    if matches!(found, Err(StoreError::Full)) && spare {
        spare::release(&segments.files)?;
        spare = false;
        found = index(&segments, &settings, damaged);
    }
    let (recovered, opened) = found?;
    let (core, mut writer, opened) = assemble(segments, settings, recovered, opened)?;
    writer.spare = spare;
    writer.brace();
    Ok((core, writer, opened))
}

/// Opens the index, or builds it anew when it must be.
fn index<F: Files>(
    segments: &Segments<F>,
    settings: &Settings,
    damaged: bool,
) -> Result<(Known<F>, Opened), StoreError> {
    let mut opened = Opened::default();
    let tried = match damaged {
        true => Err("it was found damaged".to_owned()),
        false => recover(segments, settings, &mut opened)?,
    };
    match tried {
        Ok(recovered) => Ok((recovered, opened)),
        Err(why) => {
            opened = Opened { rebuilt: Some(why), ..Opened::default() };
            remove_index(segments)?;
            let rebuilt = recover(segments, settings, &mut opened)?;
            let wrong = |why| StoreError::Medium(format!("a new index does not hold: {why}"));
            Ok((rebuilt.map_err(wrong)?, opened))
        }
    }
}

/// Has the next start build the index anew.
pub(super) fn distrust<F: Files>(segments: &Segments<F>) {
    for _ in 0..3 {
        let marked = segments.files.open(DAMAGED).and_then(|_| segments.files.sync_names());
        if marked.is_ok() {
            return;
        }
        // A name whose sync failed is made anew, so that the next sync covers it.
        let _ = segments.files.remove(DAMAGED);
    }
}

fn remove_index<F: Files>(segments: &Segments<F>) -> Result<(), StoreError> {
    // The mark goes last: until then, the next start begins here again.
    for name in [INDEX, DAMAGED] {
        match segments.files.remove(name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => segments.files.sync_names()?,
        }
    }
    Ok(())
}

fn assemble<F: Files>(
    segments: Arc<Segments<F>>,
    settings: Settings,
    ((database, pages), books, batch): Known<F>,
    opened: Opened,
) -> Result<Parts<F>, StoreError> {
    let log = Log::new(batch, settings.log_segment_bytes);
    let view = View::new(&database, &books)?;
    let space = Space::new(segments.of(Kind::Data));
    let core = Shared::new(settings, segments, view);
    if opened.damaged > 0 {
        core.tell(format!("{} records of the log were damaged at start", opened.damaged));
    }
    let writer = Writer {
        core: Arc::clone(&core),
        database,
        pages,
        log,
        books,
        saved: Saved::default(),
        dead: None,
        freed: VecDeque::new(),
        space,
        clean: Clean::new(),
        sweep: Sweep::default(),
        scrub: Scrubber::new(Arc::clone(&core)),
        spare: false,
    };
    Ok((core, writer, opened))
}

type Recovered<F> = Result<Known<F>, String>;

/// Opens the index and applies what it does not know. The inner error says why it must
/// be built anew.
fn recover<F: Files>(
    segments: &Segments<F>,
    settings: &Settings,
    opened: &mut Opened,
) -> Result<Recovered<F>, StoreError> {
    let pages = Pages::new(segments.files.open(INDEX)?)?;
    segments.files.sync_names()?;
    let database = Database::builder()
        .set_cache_size(settings.cache_bytes)
        .create_with_backend(Backend(Arc::clone(&pages)));
    let database = match database {
        Ok(database) => database,
        Err(error) => return unless_medium(error.into()),
    };
    let (books, mark) = match Books::load(&database) {
        Ok(Some(loaded)) => loaded,
        Ok(None) => {
            if opened.rebuilt.is_none() && !segments.of(Kind::Log).is_empty() {
                opened.rebuilt = Some("it was missing".to_owned());
            }
            (Books { next_sequence: 1, next_bucket: 1, ..Books::default() }, Mark::default())
        }
        Err(error) => return unless_medium(error),
    };
    if !known(segments, mark)? {
        opened.damaged += 1;
        return Ok(Err("it knows more than the log".to_owned()));
    }
    let waiting = Vec::new();
    let mut replay = Replay { segments, database: &database, books, mark, opened, waiting };
    match replay.run() {
        Ok(batch) => {
            let books = replay.books;
            Ok(Ok(((database, pages), books, batch)))
        }
        Err(error) => {
            if pages.damaged() {
                distrust(segments);
            }
            unless_medium(error)
        }
    }
}

/// A medium that fails is no reason to build anything anew.
fn unless_medium<T>(error: StoreError) -> Result<Result<T, String>, StoreError> {
    match error {
        StoreError::Damaged(why) => Ok(Err(why)),
        StoreError::Medium(why) if why.contains("redb") => Ok(Err(why)),
        other => Err(other),
    }
}

/// Whether the log has what the index knows.
fn known<F: Files>(segments: &Segments<F>, mark: Mark) -> Result<bool, StoreError> {
    if mark.segment == 0 {
        return Ok(true);
    }
    match segments.get(mark.segment) {
        Some(segment) => Ok(segment.file.length()? >= mark.offset),
        None => Ok(false),
    }
}

impl<F: Files> Replay<'_, F> {
    /// Reads the log from the mark on. Returns the number of the next batch.
    fn run(&mut self) -> Result<u64, StoreError> {
        let new = self.mark == Mark::default();
        let mut last = self.mark.batch.saturating_sub(1);
        let logs = self.segments.of(Kind::Log);
        let count = logs.len();
        for (place, segment) in logs.into_iter().enumerate() {
            let Some(start) = self.start(&segment)? else { continue };
            if segment.number < self.mark.segment {
                continue;
            }
            let start = if segment.number == self.mark.segment { self.mark.offset } else { start };
            last = self.read(&segment, start, (last, place + 1 == count))?;
        }
        if new || self.opened.replayed > 0 || self.opened.rebuilt.is_some() {
            // All of it, and an index that is new has its tables then.
            self.commit(Durability::Immediate)?;
        }
        Ok(last + 1)
    }

    /// Where a segment's records begin; `None` when it has none: it was being made when
    /// the last process ended.
    fn start(&mut self, segment: &Arc<Segment<F::File>>) -> Result<Option<u64>, StoreError> {
        let mut bytes = [0; PREFACE];
        let length = segment.file.length()?;
        let preface = match length >= PREFACE as u64 {
            true => {
                segment.file.read_at(0, &mut bytes)?;
                let read = Preface::read(&bytes);
                read.map_err(|found| StoreError::Format { found, known: FORMAT })?
            }
            false => None,
        };
        match preface {
            Some(preface) => {
                self.segments.skip_to(preface.next_segment);
                self.books.next_sequence = self.books.next_sequence.max(preface.next_sequence);
                self.books.next_bucket = self.books.next_bucket.max(preface.next_bucket);
            }
            None if length <= PREFACE as u64 => {
                self.segments.remove(segment)?;
                self.segments.files.sync_names()?;
                return Ok(None);
            }
            None => {}
        }
        Ok(Some(PREFACE as u64))
    }

    /// Applies a segment's records. `last`: the batch before, and whether this is the
    /// log's last segment.
    fn read(
        &mut self,
        segment: &Arc<Segment<F::File>>,
        start: u64,
        (mut last, newest): (u64, bool),
    ) -> Result<u64, StoreError> {
        let mut scan = Scanner::new(Arc::clone(&segment.file), start)?;
        // The last record that was read was the last of its batch.
        let mut whole = true;
        loop {
            let offset = scan.offset;
            match scan.next()? {
                Found::End => break,
                Found::Record(header, bytes) => {
                    last = last.max(header.batch);
                    whole = header.place + 1 == header.count;
                    let at =
                        Location { segment: segment.number, offset, length: bytes.len() as u32 };
                    self.take(&header, &bytes, at)?;
                }
                // Behind what was durable once, a later batch follows. What was being
                // written is the last.
                Found::Bad => {
                    let of = if whole { last + 1 } else { last };
                    if scan.skip(of)? || !newest {
                        self.opened.damaged += 1;
                    }
                    if scan.offset == offset {
                        if newest {
                            self.cut(segment, offset)?;
                        }
                        break;
                    }
                }
            }
        }
        if newest {
            self.write_again(segment, start)?;
        }
        Ok(last)
    }

    /// Cuts off what was being written when the last process ended: nothing is ever
    /// written behind it.
    fn cut(&mut self, segment: &Arc<Segment<F::File>>, end: u64) -> Result<(), StoreError> {
        self.opened.torn_bytes += segment.file.length()? - end;
        segment.file.set_length(end)?;
        self.segments.sync(&segment.file)?;
        Ok(())
    }

    /// Writes the end of the log again. After a sync that failed, the page cache may
    /// show what is not on the medium, and never will be unless it is written anew.
    fn write_again(
        &mut self,
        segment: &Arc<Segment<F::File>>,
        start: u64,
    ) -> Result<(), StoreError> {
        let end = segment.file.length()?;
        let mut buffer = vec![0; end.saturating_sub(start).min(1 << 20) as usize];
        let mut offset = start;
        while offset < end {
            let length = (end - offset).min(buffer.len() as u64) as usize;
            segment.file.read_at(offset, &mut buffer[..length])?;
            segment.file.write_at(offset, &buffer[..length])?;
            offset += length as u64;
        }
        // Also when nothing is: the last process may have cut off what it half wrote.
        self.segments.sync(&segment.file)?;
        Ok(())
    }

    fn take(&mut self, header: &Header, bytes: &[u8], at: Location) -> Result<(), StoreError> {
        self.opened.replayed += 1;
        self.books.next_sequence = self.books.next_sequence.max(header.sequence.0 + 1);
        let Some(record) = record::payload(header, bytes) else {
            self.opened.damaged += 1;
            return Ok(());
        };
        if let Record::Bucket(bucket) = &record {
            self.books.next_bucket = self.books.next_bucket.max(bucket.id.0 + 1);
        }
        self.waiting.push((record, header.sequence, at));
        let end = at.offset + u64::from(at.length);
        self.mark = Mark { segment: at.segment, offset: end, batch: header.batch + 1 };
        if self.waiting.len() >= STEP { self.commit(Durability::None) } else { Ok(()) }
    }

    fn commit(&mut self, durability: Durability) -> Result<(), StoreError> {
        let mut txn = self.database.begin_write()?;
        set_durability(&mut txn, durability);
        txn.set_quick_repair(matches!(durability, Durability::Immediate));
        let mut turn = Turn::new(Tables::open(&txn)?, &self.books);
        for (record, sequence, at) in self.waiting.drain(..) {
            turn.apply(&record, sequence, at)?;
        }
        // What the log freed may be somebody else's by now: a start punches by the index.
        let mut delta = Delta { freed: Vec::new(), ..turn.finish()? };
        let changed = self.books.take(&mut delta);
        self.books.note(&txn, self.mark, &changed)?;
        Ok(txn.commit()?)
    }
}
