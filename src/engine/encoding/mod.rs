//! Rewrites an optimised plan so that texts stay codes for as long as nobody looks into them.
//!
//! Grouping, joining, comparing for equality, and asking for null need only codes; a function of one text is worked out once for each
//! code. Whatever else reads a text (sorting, `min`, concatenating) has it decoded right there. A node or expression that is not known
//! here gets its texts decoded below it, so a plan means the same before and after.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, Alias, BinaryExpr, Case, InList, ScalarFunction, WindowFunction};
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Join, Projection, Sort, TableScanBuilder, Union, Window};
use datafusion::logical_expr::{Expr, ExprSchemable, JoinType, LogicalPlan, Operator, SortExpr, Volatility};

use super::dictionary::{CODE, Dictionary};
use super::functions::{self, MAPPED, Mapping};
use super::table::{EncodedTable, is_text};

/// The stack that rewriting one node may take, and how much more there is where less than that is left.
const RED_ZONE_BYTES: usize = 256 * 1024;
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// A plan in which some columns are codes.
pub struct Encoded {
    /// The plan.
    pub plan: LogicalPlan,
    /// For every column of the plan the type of text that its codes stand for; none where it is no code.
    pub columns: Vec<Option<DataType>>,
}

/// Rewrites plans for one dictionary.
pub struct Encoder<'a> {
    state: &'a SessionState,
    dictionary: &'a Arc<Dictionary>,
}

/// What the names in an expression mean: the columns as they were, and which of them are codes now.
struct Scope {
    schema: DFSchemaRef,
    columns: Vec<Option<DataType>>,
}

impl Scope {
    fn code(&self, column: &Column) -> Option<&DataType> {
        self.columns.get(self.schema.maybe_index_of_column(column)?)?.as_ref()
    }
}

impl<'a> Encoder<'a> {
    /// An encoder for the tables of a session.
    pub fn new(state: &'a SessionState, dictionary: &'a Arc<Dictionary>) -> Self {
        Encoder { state, dictionary }
    }

    /// A plan with the rows of an optimised one, whose texts are all codes.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn encoded(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let encoded = self.rewrite(plan)?;
        let is_wanted = |(field, column): (&Arc<Field>, &Option<DataType>)| is_text(field.data_type()) || column.is_some();
        let wanted: Vec<bool> = encoded.plan.schema().fields().iter().zip(&encoded.columns).map(is_wanted).collect();
        self.with_codes(encoded, &wanted)
    }

    /// A plan with the rows of an optimised one, in the same order, in which texts have been decoded only where they are looked into.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn rewrite(&self, plan: LogicalPlan) -> Result<Encoded> {
        // A plan may be as deep as its SQL has joins, and threads have small stacks.
        stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, || self.rewrite_node(plan))
    }

    fn rewrite_node(&self, plan: LogicalPlan) -> Result<Encoded> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source)?;
                match provider.downcast_ref::<EncodedTable>() {
                    Some(table) if scan.filters.is_empty() => {
                        let columns = scan.projected_schema.fields().iter().map(|field| text_type(field.data_type())).collect();
                        let encoded = TableScanBuilder::new(scan.table_name, provider_as_source(Arc::clone(table.encoded())))
                            .with_projection(scan.projection)
                            .with_fetch(scan.fetch)
                            .build()?;
                        Ok(Encoded { plan: LogicalPlan::TableScan(encoded), columns })
                    }
                    _ => Ok(plain(LogicalPlan::TableScan(scan))),
                }
            }
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => {
                let (input, scope) = self.input(&filter.input)?;
                let predicate = self.value(filter.predicate, &scope)?;
                let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input.plan))?);
                Ok(Encoded { plan, columns: input.columns })
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Sort(sort) => {
                let (input, scope) = self.input(&sort.input)?;
                let key = |sort: SortExpr| Ok(SortExpr { expr: self.value(sort.expr, &scope)?, ..sort });
                let expr = sort.expr.into_iter().map(key).collect::<Result<_>>()?;
                let plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(input.plan), fetch: sort.fetch });
                Ok(Encoded { plan, columns: input.columns })
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
                Ok(plain(if inputs.is_empty() { other } else { other.with_new_exprs(other.expressions(), inputs)? }))
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
                Some(text) => match self.code(&expr, &scope)? {
                    Some(code) => (code, Some(text)),
                    None => (self.value(expr.clone(), &scope)?, None),
                },
                None => (self.value(expr.clone(), &scope)?, None),
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
            return Ok(plain(LogicalPlan::Aggregate(plan)));
        }
        let (input, scope) = self.input(&aggregate.input)?;
        let mut columns = Vec::new();
        let mut groups = Vec::new();
        for (expr, field) in aggregate.group_expr.into_iter().zip(aggregate.schema.fields()) {
            let text = text_type(field.data_type());
            let group = if text.is_some() { self.as_code(&expr, &scope)? } else { self.value(expr.clone(), &scope)? };
            groups.push(named_as(&expr, group));
            columns.push(text);
        }
        let mut aggregates = Vec::new();
        for expr in aggregate.aggr_expr {
            aggregates.push(named_as(&expr, self.value(expr.clone(), &scope)?));
            columns.push(None);
        }
        let schema = recast(&aggregate.schema, &columns)?;
        let plan = Aggregate::try_new_with_schema(Arc::new(input.plan), groups, aggregates, schema)?;
        Ok(Encoded { plan: LogicalPlan::Aggregate(plan), columns })
    }

    fn join(&self, join: Join) -> Result<Encoded> {
        let (left, left_scope) = self.input(&join.left)?;
        let (right, right_scope) = self.input(&join.right)?;
        let mut on = Vec::new();
        for (one, other) in join.on {
            let keys = match (self.code(&one, &left_scope)?, self.code(&other, &right_scope)?) {
                (Some(one), Some(other)) => (one, other),
                // A text that is worked out gets a code sooner than that the other side loses its own.
                (Some(code), None) if is_text(&other.get_type(&right_scope.schema)?) => (code, self.as_code(&other, &right_scope)?),
                (None, Some(code)) if is_text(&one.get_type(&left_scope.schema)?) => (self.as_code(&one, &left_scope)?, code),
                _ => (self.value(one, &left_scope)?, self.value(other, &right_scope)?),
            };
            on.push(keys);
        }
        let both = Scope {
            schema: Arc::new(left_scope.schema.join(&right_scope.schema)?),
            columns: left.columns.iter().chain(&right.columns).cloned().collect(),
        };
        let filter = join.filter.map(|filter| self.value(filter, &both)).transpose()?;
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
            exprs.push(named_as(expr, self.value(expr.clone(), &scope)?));
        }
        let columns: Vec<_> = input.columns.iter().cloned().chain(exprs.iter().map(|_| None)).collect();
        let schema = recast(&window.schema, &columns)?;
        let plan = LogicalPlan::Window(Window::try_new_with_schema(exprs, Arc::new(input.plan), schema)?);
        Ok(Encoded { plan, columns })
    }

    /// An expression that gives the code of what a text expression gives; none when that takes more than codes.
    fn code(&self, expr: &Expr, scope: &Scope) -> Result<Option<Expr>> {
        let code = match expr {
            Expr::Column(column) => scope.code(column).map(|_| expr.clone()),
            Expr::Literal(value, _) => match value.try_as_str() {
                Some(Some(text)) => Some(number(Some(self.dictionary.code(text)?))),
                Some(None) => Some(number(None)),
                None => value.is_null().then(|| number(None)),
            },
            Expr::Alias(alias) => self.code(&alias.expr, scope)?.map(|expr| Expr::Alias(Alias { expr: Box::new(expr), ..alias.clone() })),
            // Between types of text a cast changes how it is held.
            Expr::Cast(cast) if is_text(cast.field.data_type()) && is_text(&expr_type(&cast.expr, scope)?) => {
                self.code(&cast.expr, scope)?
            }
            Expr::Case(case) => self.code_of_case(case, scope)?,
            Expr::ScalarFunction(call) if ["coalesce", "nullif"].contains(&call.name()) => {
                let args = call.args.iter().map(|arg| self.code(arg, scope)).collect::<Result<Option<Vec<_>>>>()?;
                args.map(|args| Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&call.func), args }))
            }
            _ => None,
        };
        match code {
            Some(code) => Ok(Some(code)),
            None => self.mapped(expr, scope, is_text),
        }
    }

    fn code_of_case(&self, case: &Case, scope: &Scope) -> Result<Option<Expr>> {
        let mut branches = Vec::new();
        for (when, then) in &case.when_then_expr {
            let Some(then) = self.code(then, scope)? else { return Ok(None) };
            branches.push((when.as_ref().clone(), then));
        }
        let otherwise = match &case.else_expr {
            Some(expr) => match self.code(expr, scope)? {
                Some(code) => Some(Box::new(code)),
                None => return Ok(None),
            },
            None => None,
        };
        let (base, whens): (_, Vec<Expr>) = self.comparands(case.expr.as_deref(), branches.iter().map(|(when, _)| when), scope)?;
        let when_then_expr = whens.into_iter().zip(branches).map(|(when, (_, then))| (Box::new(when), Box::new(then))).collect();
        Ok(Some(Expr::Case(Case { expr: base.map(Box::new), when_then_expr, else_expr: otherwise })))
    }

    /// What a CASE compares with what: codes where all of them can be.
    fn comparands<'e>(
        &self,
        base: Option<&Expr>,
        whens: impl Iterator<Item = &'e Expr> + Clone,
        scope: &Scope,
    ) -> Result<(Option<Expr>, Vec<Expr>)> {
        if let Some(base) = base
            && is_text(&expr_type(base, scope)?)
            && let Some(code) = self.code(base, scope)?
        {
            let codes = whens.clone().map(|when| self.code(when, scope)).collect::<Result<Option<Vec<_>>>>()?;
            if let Some(codes) = codes {
                return Ok((Some(code), codes));
            }
        }
        let base = base.map(|base| self.value(base.clone(), scope)).transpose()?;
        Ok((base, whens.map(|when| self.value(when.clone(), scope)).collect::<Result<_>>()?))
    }

    /// The code of a text expression, by giving one to its text if there is no other way.
    fn as_code(&self, expr: &Expr, scope: &Scope) -> Result<Expr> {
        match self.code(expr, scope)? {
            Some(code) => Ok(code),
            None => Ok(functions::encode(self.dictionary, self.value(expr.clone(), scope)?)),
        }
    }

    /// An expression with the value of another, codes decoded where their text is looked into.
    fn value(&self, expr: Expr, scope: &Scope) -> Result<Expr> {
        let rewritten = expr.transform_down(|part| {
            if let Some(condition) = self.condition(&part, scope)? {
                return Ok(Transformed::new(condition, true, TreeNodeRecursion::Jump));
            }
            match part {
                Expr::Column(column) => match scope.code(&column) {
                    Some(text) => {
                        let text = text.clone();
                        Ok(Transformed::new(functions::decode(self.dictionary, Expr::Column(column), &text), true, TreeNodeRecursion::Jump))
                    }
                    None => Ok(Transformed::no(Expr::Column(column))),
                },
                Expr::Case(case) if case.expr.is_some() => {
                    let (base, whens) =
                        self.comparands(case.expr.as_deref(), case.when_then_expr.iter().map(|(when, _)| when.as_ref()), scope)?;
                    let mut branches = Vec::new();
                    for (when, (_, then)) in whens.into_iter().zip(case.when_then_expr) {
                        branches.push((Box::new(when), Box::new(self.value(*then, scope)?)));
                    }
                    let else_expr = case.else_expr.map(|expr| self.value(*expr, scope).map(Box::new)).transpose()?;
                    let case = Case { expr: base.map(Box::new), when_then_expr: branches, else_expr };
                    Ok(Transformed::new(Expr::Case(case), true, TreeNodeRecursion::Jump))
                }
                // To count texts their codes will do.
                Expr::AggregateFunction(mut call) if call.func.name() == "count" => {
                    call.params.args = self.codes_or_values(call.params.args, scope)?;
                    call.params.filter = call.params.filter.map(|filter| self.value(*filter, scope).map(Box::new)).transpose()?;
                    let call = Expr::AggregateFunction(AggregateFunction { ..call });
                    Ok(Transformed::new(call, true, TreeNodeRecursion::Jump))
                }
                Expr::WindowFunction(call) => {
                    let mut call: WindowFunction = *call;
                    call.params.partition_by = self.codes_or_values(call.params.partition_by, scope)?;
                    call.params.args = call.params.args.into_iter().map(|arg| self.value(arg, scope)).collect::<Result<_>>()?;
                    let key = |sort: SortExpr| Ok(SortExpr { expr: self.value(sort.expr, scope)?, ..sort });
                    call.params.order_by = call.params.order_by.into_iter().map(key).collect::<Result<_>>()?;
                    call.params.filter = call.params.filter.map(|filter| self.value(*filter, scope).map(Box::new)).transpose()?;
                    Ok(Transformed::new(Expr::WindowFunction(Box::new(call)), true, TreeNodeRecursion::Jump))
                }
                other => Ok(Transformed::no(other)),
            }
        });
        rewritten.map(|rewritten| rewritten.data)
    }

    fn codes_or_values(&self, exprs: Vec<Expr>, scope: &Scope) -> Result<Vec<Expr>> {
        let rewrite = |expr: Expr| match &expr {
            Expr::Column(column) if scope.code(column).is_some() => Ok(expr),
            _ => self.value(expr, scope),
        };
        exprs.into_iter().map(rewrite).collect()
    }

    /// A condition that needs no text: on codes, or known for each code.
    fn condition(&self, expr: &Expr, scope: &Scope) -> Result<Option<Expr>> {
        let texts = |exprs: &[&Expr]| -> Result<Option<Vec<Expr>>> {
            // Of constants alone there is nothing to gain.
            if exprs.iter().all(|expr| matches!(expr, Expr::Literal(..))) {
                return Ok(None);
            }
            for expr in exprs {
                if !matches!(expr, Expr::Literal(..)) && !is_text(&expr_type(expr, scope)?) {
                    return Ok(None);
                }
            }
            exprs.iter().map(|expr| self.code(expr, scope)).collect()
        };
        let condition = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_equality(*op) => texts(&[left, right])?.and_then(|codes| {
                let [left, right] = <[Expr; 2]>::try_from(codes).ok()?;
                Some(Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op: *op, right: Box::new(right) }))
            }),
            Expr::InList(list) => {
                let exprs: Vec<&Expr> = std::iter::once(list.expr.as_ref()).chain(&list.list).collect();
                texts(&exprs)?.and_then(|codes| {
                    let mut codes = codes.into_iter();
                    let expr = Box::new(codes.next()?);
                    Some(Expr::InList(InList { expr, list: codes.collect(), negated: list.negated }))
                })
            }
            Expr::IsNull(inner) => texts(&[inner])?.and_then(|codes| Some(Expr::IsNull(Box::new(codes.into_iter().next()?)))),
            Expr::IsNotNull(inner) => texts(&[inner])?.and_then(|codes| Some(Expr::IsNotNull(Box::new(codes.into_iter().next()?)))),
            _ => None,
        };
        match condition {
            Some(condition) => Ok(Some(condition)),
            None => self.mapped(expr, scope, |result| *result == DataType::Boolean),
        }
    }

    /// An expression over one code and nothing else, as a function that is worked out once for each code.
    fn mapped(&self, expr: &Expr, scope: &Scope, wanted: impl Fn(&DataType) -> bool) -> Result<Option<Expr>> {
        let Some(column) = only_column(expr) else { return Ok(None) };
        let Some(text) = scope.code(&column) else { return Ok(None) };
        let result = expr.get_type(&scope.schema)?;
        if !wanted(&result) {
            return Ok(None);
        }
        let over_text = expr.clone().transform_up(|part| {
            Ok(match part {
                Expr::Column(_) => Transformed::yes(Expr::Column(Column::new_unqualified(MAPPED))),
                other => Transformed::no(other),
            })
        })?;
        let schema = DFSchema::try_from(Schema::new(vec![Field::new(MAPPED, text.clone(), true)]))?;
        let physical = self.state.create_physical_expr(over_text.data, &schema)?;
        let mapping = Mapping::new(physical, text.clone(), result, expr.nullable(&scope.schema)?);
        Ok(Some(functions::map(self.dictionary, mapping, Expr::Column(column))))
    }

    /// Gives codes to those of the wanted columns that have none yet, and texts to the others.
    fn with_codes(&self, encoded: Encoded, wanted: &[bool]) -> Result<LogicalPlan> {
        if encoded.columns.iter().zip(wanted).all(|(column, wanted)| column.is_some() == *wanted) {
            return Ok(encoded.plan);
        }
        let schema = Arc::clone(encoded.plan.schema());
        let mut exprs = Vec::new();
        for ((at, column), wanted) in encoded.columns.iter().enumerate().zip(wanted) {
            let (qualifier, field) = schema.qualified_field(at);
            let held = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            let rewritten = match (column, wanted) {
                (None, true) => functions::encode(self.dictionary, held.clone()),
                (Some(text), false) => functions::decode(self.dictionary, held.clone(), text),
                _ => held.clone(),
            };
            exprs.push(named_as(&held, rewritten));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(encoded.plan))?))
    }
}

fn plain(plan: LogicalPlan) -> Encoded {
    let columns = vec![None; plan.schema().fields().len()];
    Encoded { plan, columns }
}

fn text_type(data_type: &DataType) -> Option<DataType> {
    is_text(data_type).then(|| data_type.clone())
}

/// The type of an expression over the columns as they were; of none that has no type by itself.
fn expr_type(expr: &Expr, scope: &Scope) -> Result<DataType> {
    match expr {
        Expr::Column(column) if scope.schema.maybe_index_of_column(column).is_none() => Ok(DataType::Null),
        _ => expr.get_type(&scope.schema),
    }
}

fn number(code: Option<u32>) -> Expr {
    Expr::Literal(ScalarValue::UInt32(code), None)
}

fn is_equality(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// An expression under the name that another had.
fn named_as(original: &Expr, rewritten: Expr) -> Expr {
    let (qualifier, name) = original.qualified_name();
    if rewritten.qualified_name() == (qualifier.clone(), name.clone()) { rewritten } else { rewritten.alias_qualified(qualifier, name) }
}

/// A schema in which some columns have become codes.
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

/// The one column that an expression reads, when it reads no more than that, once worked out is the same for ever, and does something.
fn only_column(expr: &Expr) -> Option<Column> {
    let mut only: Option<Column> = None;
    let mut fits = !matches!(expr, Expr::Column(_) | Expr::Alias(_) | Expr::Literal(..));
    let walked = expr.apply(|part| {
        match part {
            Expr::Column(column) => match &only {
                Some(known) => fits &= known == column,
                None => only = Some(column.clone()),
            },
            Expr::ScalarFunction(call) => fits &= call.func.signature().volatility == Volatility::Immutable,
            Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::InList(_) => {}
            _ => fits = false,
        }
        Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    only.filter(|_| fits && walked.is_ok())
}
