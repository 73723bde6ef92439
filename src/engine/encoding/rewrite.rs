//! Rewrites an optimised plan so that it works on dictionary codes and decodes texts only where it needs them.
//!
//! Codes are enough to group, to join, to compare for equality and to test for null, and a function of one text is computed once for each
//! code. Where anything else reads a text, such as a sort, `min` or a concatenation, the text is decoded right there. Below a node or
//! expression that is not known here all texts are decoded, so the plan has the same result before and after.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DFSchemaRef};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Join, Projection, Sort, TableScanBuilder, Union, Window};
use datafusion::logical_expr::{Expr, ExprSchemable, JoinType, LogicalPlan, SortExpr};

use super::dictionary::{CODE, Dictionary};
use super::expressions::{Expressions, Scope};
use super::functions;
use super::table::{EncodedTable, is_text};
use crate::engine::names::named_as;

/// The stack that rewriting one node may take, and the size of the stack that is added when less than that is left.
const RED_ZONE_BYTES: usize = 256 * 1024;
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// A plan of which some columns may be codes.
pub struct Encoded {
    /// The plan.
    pub plan: LogicalPlan,
    /// For every column of the plan that has codes, the type of the texts that they stand for.
    pub columns: Vec<Option<DataType>>,
}

impl Encoded {
    /// A plan of which no column has codes.
    pub fn plain(plan: LogicalPlan) -> Self {
        let columns = vec![None; plan.schema().fields().len()];
        Encoded { plan, columns }
    }
}

/// Rewrites plans for the codes of one dictionary.
pub struct Encoder<'a> {
    expressions: Expressions<'a>,
    dictionary: &'a Arc<Dictionary>,
}

impl<'a> Encoder<'a> {
    /// A rewriter for the tables of a session.
    pub fn new(state: &'a SessionState, dictionary: &'a Arc<Dictionary>) -> Self {
        Encoder { expressions: Expressions { state, dictionary }, dictionary }
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
                let input = self.with_all_codes(self.rewrite(Arc::unwrap_or_clone(input))?)?;
                self.sort(expr, fetch, input, schema)?
            }
            plan => self.with_all_codes(self.rewrite(plan)?)?,
        };
        Ok(encoded.plan)
    }

    fn with_all_codes(&self, encoded: Encoded) -> Result<Encoded> {
        let fields = encoded.plan.schema().fields().iter().zip(&encoded.columns);
        let columns: Vec<Option<DataType>> =
            fields.map(|(field, column)| column.clone().or_else(|| text_type(field.data_type()))).collect();
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
    pub fn rewrite(&self, plan: LogicalPlan) -> Result<Encoded> {
        // A plan may be as deep as its SQL has joins, but the stacks of threads are small.
        stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, || self.rewrite_node(plan))
    }

    fn rewrite_node(&self, plan: LogicalPlan) -> Result<Encoded> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source)?;
                match provider.downcast_ref::<EncodedTable>() {
                    Some(table) if scan.filters.is_empty() => {
                        let stored = table.encoded().schema();
                        let text_of_codes = |field: &Arc<Field>| {
                            let is_coded = stored.field_with_name(field.name()).is_ok_and(|stored| stored.data_type() == &CODE);
                            text_type(field.data_type()).filter(|_| is_coded)
                        };
                        let columns = scan.projected_schema.fields().iter().map(text_of_codes).collect();
                        let encoded = TableScanBuilder::new(scan.table_name, provider_as_source(Arc::clone(table.encoded())))
                            .with_projection(scan.projection)
                            .with_fetch(scan.fetch)
                            .build()?;
                        Ok(Encoded { plan: LogicalPlan::TableScan(encoded), columns })
                    }
                    _ => Ok(Encoded::plain(LogicalPlan::TableScan(scan))),
                }
            }
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => {
                let (input, scope) = self.input(&filter.input)?;
                let predicate = self.expressions.value(filter.predicate, &scope)?;
                let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input.plan))?);
                Ok(Encoded { plan, columns: input.columns })
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Sort(Sort { expr, input, fetch }) => {
                let schema = Arc::clone(input.schema());
                self.sort(expr, fetch, self.rewrite(Arc::unwrap_or_clone(input))?, schema)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let (input, _) = self.input(&alias.input)?;
                let aliased = datafusion::logical_expr::SubqueryAlias::try_new(Arc::new(input.plan), alias.alias)?;
                Ok(Encoded { plan: LogicalPlan::SubqueryAlias(aliased), columns: input.columns })
            }
            LogicalPlan::Limit(mut limit) => {
                let (input, _) = self.input(&limit.input)?;
                limit.input = Arc::new(input.plan);
                Ok(Encoded { plan: LogicalPlan::Limit(limit), columns: input.columns })
            }
            other => {
                let inputs = other.inputs().into_iter().map(|input| self.decoded(input)).collect::<Result<Vec<_>>>()?;
                Ok(Encoded::plain(if inputs.is_empty() { other } else { other.with_new_exprs(other.expressions(), inputs)? }))
            }
        }
    }

    fn decoded(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let encoded = self.rewrite(plan.clone())?;
        let none = vec![false; encoded.columns.len()];
        self.with_codes(encoded, &none)
    }

    fn input(&self, input: &Arc<LogicalPlan>) -> Result<(Encoded, Scope)> {
        let encoded = self.rewrite(input.as_ref().clone())?;
        let scope = Scope { schema: Arc::clone(input.schema()), columns: encoded.columns.clone() };
        Ok((encoded, scope))
    }

    fn projection(&self, projection: Projection) -> Result<Encoded> {
        let (input, scope) = self.input(&projection.input)?;
        let mut columns = Vec::new();
        let mut exprs = Vec::new();
        for (expr, field) in projection.expr.into_iter().zip(projection.schema.fields()) {
            let (rewritten, column) = match text_type(field.data_type()) {
                Some(text) => match self.expressions.code(&expr, &scope)? {
                    Some(code) => (code, Some(text)),
                    None => (self.expressions.value(expr.clone(), &scope)?, None),
                },
                None => (self.expressions.value(expr.clone(), &scope)?, None),
            };
            exprs.push(named_as(&expr, rewritten));
            columns.push(column);
        }
        let schema = recast(&projection.schema, &columns)?;
        let plan = LogicalPlan::Projection(Projection::try_new_with_schema(exprs, Arc::new(input.plan), schema)?);
        Ok(Encoded { plan, columns })
    }

    fn aggregate(&self, aggregate: Aggregate) -> Result<Encoded> {
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            let input = self.decoded(&aggregate.input)?;
            let plan = Aggregate::try_new_with_schema(Arc::new(input), aggregate.group_expr, aggregate.aggr_expr, aggregate.schema)?;
            return Ok(Encoded::plain(LogicalPlan::Aggregate(plan)));
        }
        let (input, scope) = self.input(&aggregate.input)?;
        let mut columns = Vec::new();
        let mut groups = Vec::new();
        for (expr, field) in aggregate.group_expr.into_iter().zip(aggregate.schema.fields()) {
            let text = text_type(field.data_type());
            let group =
                if text.is_some() { self.expressions.as_code(&expr, &scope)? } else { self.expressions.value(expr.clone(), &scope)? };
            groups.push(named_as(&expr, group));
            columns.push(text);
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

    fn join(&self, join: Join) -> Result<Encoded> {
        let (left, left_scope) = self.input(&join.left)?;
        let (right, right_scope) = self.input(&join.right)?;
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
        let inputs = union.inputs.iter().map(|input| self.rewrite(input.as_ref().clone())).collect::<Result<Vec<_>>>()?;
        let columns: Vec<Option<DataType>> = (0..union.schema.fields().len())
            .map(|at| inputs.iter().find_map(|input| input.columns[at].as_ref()).and(text_type(union.schema.field(at).data_type())))
            .collect();
        let encode = |input: Encoded| {
            let wanted: Vec<bool> = columns.iter().map(Option::is_some).collect();
            self.with_codes(input, &wanted).map(Arc::new)
        };
        let inputs = inputs.into_iter().map(encode).collect::<Result<Vec<_>>>()?;
        let schema = recast(&union.schema, &columns)?;
        Ok(Encoded { plan: LogicalPlan::Union(Union { inputs, schema }), columns })
    }

    fn window(&self, window: Window) -> Result<Encoded> {
        let (input, scope) = self.input(&window.input)?;
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
                (Some(text), false) => functions::decode(self.dictionary, original.clone(), text),
                _ => original.clone(),
            };
            exprs.push(named_as(&original, rewritten));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(encoded.plan))?))
    }
}

fn text_type(data_type: &DataType) -> Option<DataType> {
    is_text(data_type).then(|| data_type.clone())
}

/// A schema in which some columns have become columns of codes.
fn recast(schema: &DFSchemaRef, columns: &[Option<DataType>]) -> Result<DFSchemaRef> {
    let field = |((qualifier, field), column): ((Option<&datafusion::common::TableReference>, &Arc<Field>), &Option<DataType>)| {
        let field = match column {
            Some(_) => Arc::new(field.as_ref().clone().with_data_type(CODE)),
            None => Arc::clone(field),
        };
        (qualifier.cloned(), field)
    };
    let fields = schema.iter().zip(columns).map(field).collect();
    let recast = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    Ok(Arc::new(recast.with_functional_dependencies(schema.functional_dependencies().clone())?))
}
