//! Rewrites an optimised plan so that it works on dictionary codes and decodes texts only where it needs them.
//!
//! Codes are enough to group, to join, to compare for equality and to test for null, and a function of one text is computed once for each
//! code. Where anything else reads a text, such as a sort, `min` or a concatenation, the text is decoded right there. Texts that are only
//! counted or hashed need no codes, where a table has them as they are ([`super::uses`]). Below a node or expression that is not known here
//! all texts are decoded, so the plan has the same result before and after.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DFSchemaRef};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Join, Projection, Sort, TableScan, TableScanBuilder, Union, Window};
use datafusion::logical_expr::{Expr, ExprSchemable, JoinType, LogicalPlan, SortExpr};

use super::dictionary::{CODE, Dictionary};
use super::expressions::{Expressions, Scope};
use super::functions;
use super::prints::{PRINT, Secret, print_of};
use super::stand::Stand;
use super::table::{EncodedTable, is_text};
use super::uses::{Use, below};
use crate::engine::names::named_as;

/// The stack that rewriting one node may take, and the size of the stack that is added when less than that is left.
const RED_ZONE_BYTES: usize = 256 * 1024;
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// A plan of which some columns may be codes.
pub struct Encoded {
    /// The plan.
    pub plan: LogicalPlan,
    /// For every column of text of the plan what it has in the place of texts; none where it has the texts, or is no text.
    pub columns: Vec<Option<Stand>>,
}

impl Encoded {
    /// A plan of which no column has codes.
    pub fn plain(plan: LogicalPlan) -> Self {
        let columns = vec![None; plan.schema().fields().len()];
        Encoded { plan, columns }
    }

    /// For every column that has codes, the type of the texts that they stand for.
    pub fn texts_of_codes(&self) -> Vec<Option<DataType>> {
        self.columns.iter().map(|column| column.as_ref().and_then(Stand::text_of_code).cloned()).collect()
    }
}

/// Rewrites plans for the codes of one dictionary.
pub struct Encoder<'a> {
    expressions: Expressions<'a>,
    dictionary: &'a Arc<Dictionary>,
}

impl<'a> Encoder<'a> {
    /// A rewriter for the tables of a session. Prints are made with `secret`.
    pub fn new(state: &'a SessionState, dictionary: &'a Arc<Dictionary>, secret: &'a Secret) -> Self {
        Encoder { expressions: Expressions { state, dictionary, secret }, dictionary }
    }

    /// An optimised plan with its texts encoded: all columns of text have codes in its result.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn encoded(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        // Texts that are computed get their codes before they are sorted: what stands above a sort may deal out its rows to several threads,
        // and their order is lost.
        let encoded = match plan {
            LogicalPlan::Sort(Sort { expr, input, fetch }) => {
                let schema = Arc::clone(input.schema());
                let input = self.with_all_codes(self.whole(Arc::unwrap_or_clone(input))?)?;
                self.sort(expr, fetch, input, schema)?
            }
            plan => self.with_all_codes(self.whole(plan)?)?,
        };
        Ok(encoded.plan)
    }

    fn with_all_codes(&self, encoded: Encoded) -> Result<Encoded> {
        let fields = encoded.plan.schema().fields().iter().zip(&encoded.columns);
        let columns: Vec<Option<Stand>> = fields.map(|(field, column)| column.clone().or_else(|| code_of(field.data_type()))).collect();
        let wanted: Vec<bool> = columns.iter().map(Option::is_some).collect();
        Ok(Encoded { plan: self.with_codes(encoded, &wanted)?, columns })
    }

    /// A sort of what has been rewritten, and had a schema before.
    fn sort(&self, keys: Vec<SortExpr>, fetch: Option<usize>, input: Encoded, schema: DFSchemaRef) -> Result<Encoded> {
        let scope = Scope { schema, columns: input.columns.clone() };
        let key = |sort: SortExpr| Ok(SortExpr { expr: self.expressions.value(sort.expr, &scope)?, ..sort });
        let expr = keys.into_iter().map(key).collect::<Result<_>>()?;
        let plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(input.plan), fetch });
        Ok(Encoded { plan, columns: input.columns })
    }

    /// An optimised plan that decodes texts only where it needs them. It has the same rows in the same order.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn whole(&self, plan: LogicalPlan) -> Result<Encoded> {
        let uses = vec![Use::Any; plan.schema().fields().len()];
        self.rewrite(plan, &uses)
    }

    /// As [`Encoder::whole`], of a plan of whose columns is known what becomes of them.
    fn rewrite(&self, plan: LogicalPlan, uses: &[Use]) -> Result<Encoded> {
        // A plan may be as deep as its SQL has joins, but the stacks of threads are small.
        stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, || self.rewrite_node(plan, uses))
    }

    fn rewrite_node(&self, plan: LogicalPlan, uses: &[Use]) -> Result<Encoded> {
        let below = below(&plan, uses)?;
        let first = below.first().map_or(&[][..], Vec::as_slice);
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, uses),
            LogicalPlan::Projection(projection) => self.projection(projection, first),
            LogicalPlan::Filter(filter) => {
                let (input, scope) = self.input(&filter.input, first)?;
                let predicate = self.expressions.value(filter.predicate, &scope)?;
                let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input.plan))?);
                Ok(Encoded { plan, columns: input.columns })
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, uses, first),
            LogicalPlan::Join(join) => self.join(join, &below),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Window(window) => self.window(window, first),
            LogicalPlan::Sort(Sort { expr, input, fetch }) => {
                let schema = Arc::clone(input.schema());
                self.sort(expr, fetch, self.rewrite(Arc::unwrap_or_clone(input), first)?, schema)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let (input, _) = self.input(&alias.input, first)?;
                let aliased = datafusion::logical_expr::SubqueryAlias::try_new(Arc::new(input.plan), alias.alias)?;
                Ok(Encoded { plan: LogicalPlan::SubqueryAlias(aliased), columns: input.columns })
            }
            LogicalPlan::Limit(mut limit) => {
                let (input, _) = self.input(&limit.input, first)?;
                limit.input = Arc::new(input.plan);
                Ok(Encoded { plan: LogicalPlan::Limit(limit), columns: input.columns })
            }
            other => {
                let inputs = other.inputs().into_iter().map(|input| self.decoded(input)).collect::<Result<Vec<_>>>()?;
                Ok(Encoded::plain(if inputs.is_empty() { other } else { other.with_new_exprs(other.expressions(), inputs)? }))
            }
        }
    }

    /// A scan, of texts that need no codes without them where the table has them as they are.
    fn scan(&self, scan: TableScan, uses: &[Use]) -> Result<Encoded> {
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<EncodedTable>().filter(|_| scan.filters.is_empty()) else {
            return Ok(Encoded::plain(LogicalPlan::TableScan(scan)));
        };
        let fields = scan.projected_schema.fields().iter().zip(uses);
        let texts: BTreeSet<&str> = fields.filter(|(_, used)| **used != Use::Any).map(|(field, _)| field.name().as_str()).collect();
        let stored = table.with_texts_of(&texts).unwrap_or_else(|| Arc::clone(table.encoded()));
        let schema = stored.schema();
        let is_coded = |field: &Arc<Field>| schema.field_with_name(field.name()).is_ok_and(|stored| stored.data_type() == &CODE);
        let stand = |field: &Arc<Field>| code_of(field.data_type()).filter(|_| is_coded(field));
        let mut columns: Vec<Option<Stand>> = scan.projected_schema.fields().iter().map(stand).collect();
        let fields: Vec<Arc<Field>> = scan.projected_schema.fields().iter().cloned().collect();
        let scan = TableScanBuilder::new(scan.table_name, provider_as_source(stored))
            .with_projection(scan.projection)
            .with_fetch(scan.fetch)
            .build()?;
        let plan = LogicalPlan::TableScan(scan);
        let is_printed =
            |(at, field): (usize, &Arc<Field>)| columns[at].is_none() && is_text(field.data_type()) && uses[at] == Use::Counted;
        let printed: Vec<bool> = fields.iter().enumerate().map(is_printed).collect();
        if !printed.contains(&true) {
            return Ok(Encoded { plan, columns });
        }
        let mut exprs = Vec::new();
        for (at, printed) in printed.into_iter().enumerate() {
            let original = Expr::Column(Column::from(plan.schema().qualified_field(at)));
            if printed {
                exprs.push(named_as(&original, print_of(self.expressions.secret).call(vec![original.clone()])));
                columns[at] = Some(Stand::Print);
            } else {
                exprs.push(original);
            }
        }
        Ok(Encoded { plan: LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?), columns })
    }

    fn decoded(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let encoded = self.whole(plan.clone())?;
        let none = vec![false; encoded.columns.len()];
        self.with_codes(encoded, &none)
    }

    fn input(&self, input: &Arc<LogicalPlan>, uses: &[Use]) -> Result<(Encoded, Scope)> {
        let encoded = self.rewrite(input.as_ref().clone(), uses)?;
        let scope = Scope { schema: Arc::clone(input.schema()), columns: encoded.columns.clone() };
        Ok((encoded, scope))
    }

    fn projection(&self, projection: Projection, uses: &[Use]) -> Result<Encoded> {
        let (input, scope) = self.input(&projection.input, uses)?;
        let mut columns = Vec::new();
        let mut exprs = Vec::new();
        for (expr, field) in projection.expr.into_iter().zip(projection.schema.fields()) {
            let code = match code_of(field.data_type()) {
                Some(stand) => self.expressions.code(&expr, &scope)?.map(|code| (code, stand)),
                None => None,
            };
            let (rewritten, column) = match code {
                Some((code, stand)) => (code, Some(stand)),
                None => (self.expressions.value(expr.clone(), &scope)?, scope.is_print(&expr).then_some(Stand::Print)),
            };
            exprs.push(named_as(&expr, rewritten));
            columns.push(column);
        }
        let schema = recast(&projection.schema, &columns)?;
        let plan = LogicalPlan::Projection(Projection::try_new_with_schema(exprs, Arc::new(input.plan), schema)?);
        Ok(Encoded { plan, columns })
    }

    fn aggregate(&self, aggregate: Aggregate, uses: &[Use], of_input: &[Use]) -> Result<Encoded> {
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            let input = self.decoded(&aggregate.input)?;
            let plan = Aggregate::try_new_with_schema(Arc::new(input), aggregate.group_expr, aggregate.aggr_expr, aggregate.schema)?;
            return Ok(Encoded::plain(LogicalPlan::Aggregate(plan)));
        }
        let (input, scope) = self.input(&aggregate.input, of_input)?;
        let mut columns = Vec::new();
        let mut groups = Vec::new();
        for ((expr, field), used) in aggregate.group_expr.into_iter().zip(aggregate.schema.fields()).zip(uses) {
            let code = if is_text(field.data_type()) { self.expressions.code(&expr, &scope)? } else { None };
            let (group, stand) = match (code, code_of(field.data_type())) {
                (_, None) => (self.expressions.value(expr.clone(), &scope)?, None),
                (Some(code), stand) => (code, stand),
                // Groups are told apart by their prints as well.
                (None, Some(_)) if used.needs_no_text() => (self.expressions.print(&expr, &scope)?, Some(Stand::Print)),
                (None, stand) => (self.expressions.as_code(&expr, &scope)?, stand),
            };
            groups.push(named_as(&expr, group));
            columns.push(stand);
        }
        let mut aggregates = Vec::new();
        for expr in aggregate.aggr_expr {
            aggregates.push(named_as(&expr, self.expressions.value(expr.clone(), &scope)?));
            columns.push(None);
        }
        let schema = recast(&aggregate.schema, &columns)?;
        let plan = LogicalPlan::Aggregate(Aggregate::try_new_with_schema(Arc::new(input.plan), groups, aggregates, schema)?);
        Ok(Encoded { plan, columns })
    }

    fn join(&self, join: Join, uses: &[Vec<Use>]) -> Result<Encoded> {
        let of = |side: usize| uses.get(side).map_or(&[][..], Vec::as_slice);
        let (left, left_scope) = self.input(&join.left, of(0))?;
        let (right, right_scope) = self.input(&join.right, of(1))?;
        let mut on = Vec::new();
        for (one, other) in join.on {
            let keys = match (self.expressions.code(&one, &left_scope)?, self.expressions.code(&other, &right_scope)?) {
                (Some(one), Some(other)) => (one, other),
                // A computed text is encoded rather than that the codes of the other side are decoded.
                (Some(code), None) if is_text(&other.get_type(&right_scope.schema)?) => {
                    (code, self.expressions.as_code(&other, &right_scope)?)
                }
                (None, Some(code)) if is_text(&one.get_type(&left_scope.schema)?) => (self.expressions.as_code(&one, &left_scope)?, code),
                _ => (self.expressions.value(one, &left_scope)?, self.expressions.value(other, &right_scope)?),
            };
            on.push(keys);
        }
        let both = Scope {
            schema: Arc::new(left_scope.schema.join(&right_scope.schema)?),
            columns: left.columns.iter().chain(&right.columns).cloned().collect(),
        };
        let filter = join.filter.map(|filter| self.expressions.value(filter, &both)).transpose()?;
        let columns = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns.clone(),
            JoinType::RightSemi | JoinType::RightAnti => right.columns.clone(),
            JoinType::LeftMark => left.columns.iter().cloned().chain([None]).collect(),
            JoinType::RightMark => right.columns.iter().cloned().chain([None]).collect(),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => both.columns,
        };
        let schema = recast(&join.schema, &columns)?;
        let plan = LogicalPlan::Join(Join { left: Arc::new(left.plan), right: Arc::new(right.plan), on, filter, schema, ..join });
        Ok(Encoded { plan, columns })
    }

    fn union(&self, union: Union) -> Result<Encoded> {
        let inputs = union.inputs.iter().map(|input| self.whole(input.as_ref().clone())).collect::<Result<Vec<_>>>()?;
        let columns: Vec<Option<Stand>> = (0..union.schema.fields().len())
            .map(|at| inputs.iter().find_map(|input| input.columns[at].as_ref()).and(code_of(union.schema.field(at).data_type())))
            .collect();
        let encode = |input: Encoded| {
            let wanted: Vec<bool> = columns.iter().map(Option::is_some).collect();
            self.with_codes(input, &wanted).map(Arc::new)
        };
        let inputs = inputs.into_iter().map(encode).collect::<Result<Vec<_>>>()?;
        let schema = recast(&union.schema, &columns)?;
        Ok(Encoded { plan: LogicalPlan::Union(Union { inputs, schema }), columns })
    }

    fn window(&self, window: Window, uses: &[Use]) -> Result<Encoded> {
        let (input, scope) = self.input(&window.input, uses)?;
        let mut exprs = Vec::new();
        for expr in &window.window_expr {
            exprs.push(named_as(expr, self.expressions.value(expr.clone(), &scope)?));
        }
        let columns: Vec<_> = input.columns.iter().cloned().chain(exprs.iter().map(|_| None)).collect();
        let schema = recast(&window.schema, &columns)?;
        let plan = LogicalPlan::Window(Window::try_new_with_schema(exprs, Arc::new(input.plan), schema)?);
        Ok(Encoded { plan, columns })
    }

    /// Encodes the columns that are `wanted` as codes and decodes the others, unless they are so already.
    fn with_codes(&self, encoded: Encoded, wanted: &[bool]) -> Result<LogicalPlan> {
        if encoded.columns.iter().zip(wanted).all(|(column, wanted)| column.is_some() == *wanted) {
            return Ok(encoded.plan);
        }
        let schema = Arc::clone(encoded.plan.schema());
        let mut exprs = Vec::new();
        for ((at, column), wanted) in encoded.columns.iter().enumerate().zip(wanted) {
            let (qualifier, field) = schema.qualified_field(at);
            let original = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            let rewritten = match (column, wanted) {
                (None, true) => functions::encode(self.dictionary, original.clone()),
                (Some(Stand::Code(text)), false) => functions::decode(self.dictionary, original.clone(), text),
                (Some(Stand::Print), _) => {
                    return Err(DataFusionError::Internal("a text is wanted of which only its print is there".to_owned()));
                }
                _ => original.clone(),
            };
            exprs.push(named_as(&original, rewritten));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(encoded.plan))?))
    }
}

/// Codes of a type of text; none of another type.
fn code_of(data_type: &DataType) -> Option<Stand> {
    is_text(data_type).then(|| Stand::Code(data_type.clone()))
}

/// A schema in which something else stands in the place of some texts.
fn recast(schema: &DFSchemaRef, columns: &[Option<Stand>]) -> Result<DFSchemaRef> {
    let field = |((qualifier, field), column): ((Option<&datafusion::common::TableReference>, &Arc<Field>), &Option<Stand>)| {
        let field = match column {
            Some(Stand::Code(_)) => Arc::new(field.as_ref().clone().with_data_type(CODE)),
            Some(Stand::Print) => Arc::new(field.as_ref().clone().with_data_type(PRINT)),
            None => Arc::clone(field),
        };
        (qualifier.cloned(), field)
    };
    let fields = schema.iter().zip(columns).map(field).collect();
    let recast = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    Ok(Arc::new(recast.with_functional_dependencies(schema.functional_dependencies().clone())?))
}
