//! Figures of segments: their sizes, what their members spent, how they are reached, who moved between them, and how they differ from
//! everybody.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::bit_or;
use datafusion::logical_expr::{Expr, JoinType, lit, when};

use super::declared::{Declared, Profile};
use super::past::{Past, Sizes};
use super::read::{Group, Published, Tables, Value, column, how_many, rows, total};
use super::types::{Amount, Cell, Flow, HeatMap, Overlap, SegmentFigures, SetFigures, Trait};
use crate::config::{Segment, SegmentSet, SetKind};
use crate::error::{Error, Result};
use crate::graph::{MEMBERSHIP, TRAITS};
use crate::manifest::Commit;
use crate::segments::CUSTOMER_ID;

/// The most traits that are told of a segment, the strongest.
const MOST_TRAITS: i64 = 30;
/// How many segments of a set one number has a bit for.
const SEGMENTS_PER_WORD: usize = 60;
/// What the columns of the memberships are called beside those of the profile.
const SET: &str = "reported segment set";
const SEGMENT: &str = "reported segment";
const MEMBER: &str = "reported member";

/// How many members every segment of a publication has: its commit says it, or else its memberships are counted.
///
/// # Errors
/// As the memberships cannot be read.
pub async fn sizes(tables: &Tables<'_>, commit: &Commit, declared: &Declared<'_>) -> Result<Option<Sizes>> {
    let of_commit: Option<Sizes> = commit
        .segment_sets
        .iter()
        .flat_map(|set| set.segments.iter().map(|segment| ((set.name.clone(), segment.name.clone()), segment.customers)))
        .map(|(name, customers)| customers.map(|customers| (name, customers)))
        .collect();
    if let Some(sizes) = of_commit.filter(|sizes| !sizes.is_empty()) {
        return Ok(Some(sizes));
    }
    let Some(memberships) = declared.output(tables, commit, MEMBERSHIP).await? else { return Ok(None) };
    let groups = memberships.grouped(vec![column("segment_set"), column("segment")], vec![rows()]).await?;
    let sized = |group: Group| Some(((group.keys[0].text()?, group.keys[1].text()?), group.measures[0].count()));
    Ok(Some(groups.into_iter().filter_map(sized).collect()))
}

/// What is summed over the members of a segment.
#[derive(Debug, Clone, Default)]
struct Sums {
    customers: u64,
    revenue: Option<Amount>,
    reach: Vec<u64>,
    preferred: BTreeMap<String, u64>,
}

/// The customers of each segment in a cell of the map, and what they spent.
type CellSegments = BTreeMap<String, (u64, Option<Amount>)>;

/// The segments between which a flow goes; none for no segment.
type Ends = (Option<String>, Option<String>);

/// The customers of a publication by segment, and by the scores of the map.
#[derive(Debug, Default)]
pub struct Members {
    by_segment: BTreeMap<(String, String), Sums>,
    /// By recency and frequency score, the customers of each segment of the set whose borders are shown.
    by_scores: BTreeMap<(i64, i64), CellSegments>,
}

impl Members {
    /// Reads the memberships beside the profile, once.
    ///
    /// # Errors
    /// As the files cannot be read.
    pub async fn read(declared: &Declared<'_>, profile: &Profile, memberships: &Published) -> Result<Self> {
        let report = declared.report();
        let preferred = report.preferred_channel.as_ref().map(|column| column.value.as_str()).filter(|column| profile.has(column));
        let scores = report.heat_map.as_ref().map(|map| [map.recency.value.as_str(), map.frequency.value.as_str()]);
        let scores = scores.filter(|scores| scores.iter().all(|score| profile.has(score)));
        let revenue = declared.revenue().filter(|column| profile.is_exact(column));
        let mut by = vec![column(SET), column(SEGMENT)];
        by.extend(preferred.map(column));
        by.extend(scores.iter().flatten().map(|score| column(score)));
        let mut measures = vec![rows()];
        measures.extend(revenue.map(|revenue| total(revenue, "reported revenue")));
        for (at, channel) in report.channels.values().enumerate() {
            let allowed = Some(column(&channel.allowed.value)).filter(|_| profile.is_flag(&channel.allowed.value));
            measures.push(how_many(allowed.unwrap_or_else(|| lit(false)), &format!("reach {at}"))?);
        }
        let joined = beside(profile, memberships)?;
        let shown = report.heat_map.as_ref().and_then(|map| map.segment_set.as_ref()).map(|set| set.value.as_str());
        let mut members = Members::default();
        for Group { mut keys, measures } in joined.grouped(by, measures).await? {
            let (Some(set), Some(segment)) = (keys[0].text(), keys[1].text()) else { continue };
            let amount = revenue.and_then(|_| measures[1].amount());
            if scores.is_some() {
                let at = keys.split_off(keys.len() - 2);
                if let (true, Some(recency), Some(frequency)) = (shown == Some(&set), at[0].integer(), at[1].integer()) {
                    let cell = members.by_scores.entry((recency, frequency)).or_default();
                    let sums = cell.entry(segment.clone()).or_default();
                    *sums = (sums.0 + measures[0].count(), add(sums.1, amount));
                }
            }
            let sums = members.by_segment.entry((set, segment)).or_default();
            sums.customers += measures[0].count();
            sums.revenue = add(sums.revenue, amount);
            let reach = measures.iter().skip(1 + usize::from(revenue.is_some())).map(Value::count);
            sums.reach.resize(report.channels.len(), 0);
            sums.reach.iter_mut().zip(reach).for_each(|(sum, reach)| *sum += reach);
            if let Some(channel) = preferred.and_then(|_| keys[2].text()) {
                *sums.preferred.entry(channel).or_default() += measures[0].count();
            }
        }
        Ok(members)
    }
}

/// Every membership beside the profile of its customer.
fn beside(profile: &Profile, memberships: &Published) -> Result<Published> {
    let renamed = memberships.clone().then(|rows| {
        rows.select(vec![column("segment_set").alias(SET), column("segment").alias(SEGMENT), column(CUSTOMER_ID).alias(MEMBER)])
    })?;
    renamed.beside(&profile.rows, JoinType::Inner, MEMBER, CUSTOMER_ID)
}

/// The sum of amounts that are known.
fn add(one: Option<Amount>, other: Option<Amount>) -> Option<Amount> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let scale = one.scale.max(other.scale);
            let at = |amount: Amount| amount.unscaled.saturating_mul(10_i128.saturating_pow(u32::from(scale - amount.scale)));
            Some(Amount { unscaled: at(one).saturating_add(at(other)), scale })
        }
        (one, other) => one.or(other),
    }
}

/// The sets of segments.
pub struct Sets<'a> {
    pub declared: &'a Declared<'a>,
    pub members: &'a Members,
    pub days: &'a [Past],
    pub flows: BTreeMap<String, Vec<Flow>>,
    pub traits: Option<BTreeMap<(String, String), Vec<Trait>>>,
    pub overlaps: BTreeMap<String, Overlaps>,
}

/// Who is in several segments of a set.
#[derive(Debug, Default)]
pub struct Overlaps {
    customers: u64,
    pairs: Vec<Overlap>,
}

impl Sets<'_> {
    /// Every set, in order of the pipeline file.
    pub fn figures(&mut self) -> Vec<SetFigures> {
        let declared = self.declared;
        declared.project.pipeline.segments.iter().map(|(name, set)| self.set(name, set)).collect()
    }

    fn set(&mut self, name: &str, set: &SegmentSet) -> SetFigures {
        let segments: Vec<SegmentFigures> = set.segments.iter().map(|segment| self.segment(name, segment)).collect();
        let Overlaps { customers, pairs } = self.overlaps.remove(name).unwrap_or_default();
        let members: u64 = segments.iter().filter_map(|segment| segment.members.last().copied().flatten()).sum();
        let in_some = if set.kind.value == SetKind::Overlapping { customers } else { members };
        let all = self.days.last().and_then(|day| day.totals.customers).unwrap_or(0);
        SetFigures {
            name: name.to_owned(),
            kind: set.kind.value.to_string(),
            description: set.description.clone(),
            customers_in_none: all.saturating_sub(in_some),
            segments,
            flows: self.flows.remove(name).unwrap_or_default(),
            overlaps: pairs,
        }
    }

    fn segment(&self, set: &str, segment: &Segment) -> SegmentFigures {
        let key = (set.to_owned(), segment.name.value.clone());
        let sums = self.members.by_segment.get(&key).cloned().unwrap_or_default();
        let sized = |day: &Past| {
            let sizes = day.sizes.as_ref()?;
            // A segment that was there had a size, which may be nobody; only the memberships of old commits do not tell.
            let is_today = std::ptr::eq(day, self.days.last()?);
            sizes.get(&key).copied().or_else(|| former(sizes, set, segment)).or_else(|| is_today.then_some(0))
        };
        let members: Vec<Option<u64>> = self.days.iter().map(sized).collect();
        let is_small = members.last().copied().flatten().unwrap_or(0) < self.declared.minimum_members();
        let traits = self.traits.as_ref().and_then(|traits| traits.get(&key)).filter(|_| !is_small).cloned().unwrap_or_default();
        let no_traits_because = traits.is_empty().then(|| match &self.traits {
            _ if is_small => format!("it has fewer than {} members", self.declared.minimum_members()),
            None => format!("the pipeline does not publish `{TRAITS}`"),
            Some(_) => "its members differ from everybody in no column".to_owned(),
        });
        let mut preferred_channels: Vec<(String, u64)> = sums.preferred.into_iter().collect();
        preferred_channels.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let nobody = self.declared.revenue().map(|_| Amount { unscaled: 0, scale: 0 });
        SegmentFigures {
            name: segment.name.value.clone(),
            description: Some(segment.description.clone()),
            action: Some(segment.action.clone()),
            channel: Some(segment.channel.to_string()),
            rule: Some(segment.when.value.clone()),
            members,
            revenue: sums.revenue.or(nobody.filter(|_| self.declared.has_profile)),
            reach: if sums.reach.is_empty() { vec![0; self.declared.report().channels.len()] } else { sums.reach },
            preferred_channels,
            traits,
            no_traits_because,
        }
    }
}

/// The size of a segment under a name that it had before.
fn former(sizes: &Sizes, set: &str, segment: &Segment) -> Option<u64> {
    segment.formerly.iter().find_map(|name| sizes.get(&(set.to_owned(), name.value.clone())).copied())
}

/// Who moved between segments since the publication before, by set, the largest flows first.
///
/// # Errors
/// As the files cannot be read.
pub async fn flows(declared: &Declared<'_>, changes: Published, profile: Option<&Profile>) -> Result<BTreeMap<String, Vec<Flow>>> {
    let names = ["segment_set", "from_segment", "to_segment", "cause"];
    let renamed = |name: &str| format!("change {name}");
    let columns = || names.into_iter().chain([CUSTOMER_ID]).map(|name| column(name).alias(renamed(name)));
    // An id that ended because its customer is the same person as another one is no movement of a person.
    let moves = changes.then(|rows| rows.filter(column("change").not_eq(lit("merged")))?.select(columns().collect::<Vec<_>>()))?;
    let revenue = declared.revenue().zip(profile).filter(|(column, profile)| profile.is_exact(column));
    let mut measures = vec![rows()];
    let beside = match revenue {
        Some((revenue, profile)) => {
            measures.push(total(revenue, "reported revenue"));
            moves.beside(&profile.rows, JoinType::Left, &renamed(CUSTOMER_ID), CUSTOMER_ID)?
        }
        None => moves,
    };
    let by = names.iter().map(|name| column(&renamed(name))).collect();
    let mut flows: BTreeMap<String, BTreeMap<Ends, Flow>> = BTreeMap::new();
    for Group { keys, measures } in beside.grouped(by, measures).await? {
        let Some(set) = keys[0].text() else { continue };
        let (from, to) = (keys[1].text(), keys[2].text());
        let of_set = flows.entry(set).or_default();
        let flow = of_set.entry((from.clone(), to.clone())).or_insert(Flow { from, to, customers: 0, revenue: None, causes: Vec::new() });
        flow.customers += measures[0].count();
        flow.revenue = add(flow.revenue, revenue.and_then(|_| measures[1].amount()));
        flow.causes.extend(keys[3].text().map(|cause| (cause, measures[0].count())));
    }
    let ordered = |of_set: BTreeMap<_, Flow>| {
        let mut of_set: Vec<Flow> = of_set.into_values().collect();
        for flow in &mut of_set {
            flow.causes.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        }
        of_set.sort_by(|one, other| other.customers.cmp(&one.customers).then_with(|| (&one.from, &one.to).cmp(&(&other.from, &other.to))));
        of_set
    };
    Ok(flows.into_iter().map(|(set, of_set)| (set, ordered(of_set))).collect())
}

/// The map of customers by recency and frequency score.
pub fn heat_map(declared: &Declared<'_>, members: &Members) -> Option<HeatMap> {
    let named = declared.report().heat_map.as_ref()?;
    let cells = members.by_scores.iter().map(|((recency, frequency), segments)| {
        let mut sized: Vec<(String, u64)> = segments.iter().map(|(segment, (customers, _))| (segment.clone(), *customers)).collect();
        sized.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        Cell {
            recency: *recency,
            frequency: *frequency,
            customers: sized.iter().map(|(_, customers)| customers).sum(),
            revenue: segments.values().fold(None, |sum, (_, revenue)| add(sum, *revenue)),
            segments: sized,
        }
    });
    let cells: Vec<Cell> = cells.collect();
    (!cells.is_empty()).then(|| HeatMap {
        segment_set: named.segment_set.as_ref().map(|set| set.value.clone()),
        recency_column: named.recency.value.clone(),
        frequency_column: named.frequency.value.clone(),
        cells,
    })
}

/// How the members of every segment differ from everybody, the strongest first.
///
/// # Errors
/// As the file cannot be read.
pub async fn traits(declared: &Declared<'_>, told: Published) -> Result<BTreeMap<(String, String), Vec<Trait>>> {
    let names = ["segment_set", "segment", "rank", "column_name", "description"];
    let batches = told
        .then(|rows| {
            let mut columns: Vec<Expr> = names.iter().map(|name| column(name)).collect();
            columns.extend([column("standardised_difference"), column("is_in_rule")]);
            let sort = names[..3].iter().map(|name| column(name).sort(true, false)).collect();
            rows.filter(column("rank").lt_eq(lit(MOST_TRAITS)))?.select(columns)?.sort(sort)
        })?
        .collect()
        .await?;
    let mut traits: BTreeMap<(String, String), Vec<Trait>> = BTreeMap::new();
    for batch in batches {
        let as_type = |at: usize, data_type| cast(batch.column(at), data_type).map_err(|error| Error::defect(error.to_string()));
        let texts =
            [as_type(0, &DataType::Utf8)?, as_type(1, &DataType::Utf8)?, as_type(3, &DataType::Utf8)?, as_type(4, &DataType::Utf8)?];
        let [sets, segments, columns, words] = texts.each_ref().map(AsArray::as_string::<i32>);
        let (strengths, in_rule) = (as_type(5, &DataType::Float64)?, as_type(6, &DataType::Boolean)?);
        let strengths = strengths.as_primitive::<arrow::datatypes::Float64Type>();
        for row in 0..batch.num_rows() {
            let name = columns.value(row);
            traits.entry((sets.value(row).to_owned(), segments.value(row).to_owned())).or_default().push(Trait {
                base: declared.base(name),
                column: name.to_owned(),
                column_description: declared.meaning(name),
                words: words.value(row).to_owned(),
                standardised_difference: strengths.value(row),
                is_in_rule: in_rule.as_boolean().value(row),
            });
        }
    }
    Ok(traits)
}

/// How many customers are in two segments of a set, for the sets whose segments overlap.
///
/// # Errors
/// As the memberships cannot be read.
pub async fn overlaps(declared: &Declared<'_>, memberships: &Published) -> Result<BTreeMap<String, Overlaps>> {
    let mut found = BTreeMap::new();
    let sets = declared.project.pipeline.segments.iter().filter(|(_, set)| set.kind.value == SetKind::Overlapping);
    for (name, set) in sets {
        let words: Vec<Expr> = set.segments.chunks(SEGMENTS_PER_WORD).enumerate().map(word).collect::<Result<_>>()?;
        let count = words.len();
        let grouped = memberships
            .clone()
            .then(|rows| rows.filter(column("segment_set").eq(lit(name.as_str())))?.aggregate(vec![column(CUSTOMER_ID)], words))?;
        let mut tally = Tally { pairs: BTreeMap::new(), customers: 0 };
        grouped
            .each(|batch| {
                let words: Vec<_> = (1..=count).map(|at| batch.column(at).as_primitive::<Int64Type>()).collect();
                (0..batch.num_rows()).for_each(|row| tally.add(words.iter().map(|word| word.value(row))));
                Ok(())
            })
            .await?;
        let pairs = tally.pairs.into_iter().map(|(segments, customers)| Overlap { segments, customers }).collect();
        found.insert(name.clone(), Overlaps { customers: tally.customers, pairs });
    }
    Ok(found)
}

/// A number with a bit for each of some segments that a customer is in.
fn word((at, segments): (usize, &[Segment])) -> Result<Expr> {
    let mut cases =
        segments.iter().enumerate().map(|(bit, segment)| (column("segment").eq(lit(segment.name.value.as_str())), 1_i64 << bit));
    let (first, bit) = cases.next().unwrap_or((lit(false), 0));
    let mut chosen = when(first, lit(bit));
    for (is_it, bit) in cases {
        chosen = chosen.when(is_it, lit(bit));
    }
    let chosen = chosen.otherwise(lit(0_i64)).map_err(|error| Error::defect(error.to_string()))?;
    Ok(bit_or(chosen).alias(format!("word {at}")))
}

/// Counts who is in two segments.
struct Tally {
    pairs: BTreeMap<[usize; 2], u64>,
    customers: u64,
}

impl Tally {
    /// Adds a customer.
    fn add(&mut self, words: impl Iterator<Item = i64>) {
        let mut places = Vec::new();
        for (at, mut bits) in words.enumerate() {
            while bits != 0 {
                places.push(at * SEGMENTS_PER_WORD + usize::try_from(bits.trailing_zeros()).unwrap_or(0));
                bits &= bits - 1;
            }
        }
        self.customers += 1;
        for (at, one) in places.iter().enumerate() {
            for other in &places[at + 1..] {
                *self.pairs.entry([*one, *other]).or_default() += 1;
            }
        }
    }
}
