//! What is found of queries of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::datasource::empty::EmptyTable;

use super::{FittedTo, Lineage, ModelPlans, leads, lineage};
use crate::engine::{Engine, Limits};

/// Two sources, the tables of the identity step, and a project of some models over them.
async fn plans(models: &[(&str, &str)]) -> ModelPlans {
    let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "UTC").unwrap();
    let texts = |names: &[&str]| names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>();
    let with = |mut fields: Vec<Field>, more: Vec<Field>| {
        fields.extend(more);
        Schema::new(fields)
    };
    let (day, number, truth) = (DataType::Date32, DataType::Int64, DataType::Boolean);
    let contacts =
        with(texts(&["contact_id", "email", "phone"]), vec![Field::new("agrees", truth, true), Field::new("seen", day.clone(), true)]);
    let orders = with(texts(&["customer", "country", "product"]), vec![Field::new("amount", number, true), Field::new("day", day, true)]);
    let tables = [
        ("sources.contacts", contacts),
        ("sources.orders", orders),
        ("resolved.customers", Schema::new(texts(&["identifier_type", "identifier", "customer_id"]))),
        ("predicted.worth", with(texts(&["customer_id"]), vec![Field::new("expected", DataType::Float64, true)])),
    ];
    for (table, schema) in tables {
        engine.register(table, Arc::new(EmptyTable::new(Arc::new(schema)))).unwrap();
    }
    let mut found = ModelPlans::new();
    for (model, sql) in models {
        let plan = engine.query(sql).await.unwrap().into_unoptimized_plan();
        engine.register(model, Arc::new(EmptyTable::new(Arc::clone(plan.schema().inner())))).unwrap();
        found.insert((*model).to_owned(), Arc::new(plan));
    }
    found
}

async fn written(models: &[(&str, &str)], has_identity_step: bool) -> Vec<String> {
    let found = leads(&plans(models).await, has_identity_step);
    let told = found.iter().flat_map(|(source, leads)| leads.iter().map(move |lead| format!("{source} {}", lead.written())));
    told.map(|lead| lead.replace("Utf8(\"", "'").replace("\")", "'")).collect()
}

const EDGES: &str = "identity.edges";

/// Models, and the leads that are found in them.
type Case<'a> = (Vec<(&'a str, &'a str)>, &'a [&'a str]);

/// Models that make edges or look up customers, each with the leads that are found.
fn edges_and_their_leads() -> [Case<'static>; 6] {
    [
        (
            vec![(
                EDGES,
                "select 'email' as identifier_type, email_address(email) as identifier, 'customer' as other_type, contact_id as other \
                 from sources.contacts where seen is not null",
            )],
            &["contacts 'customer': contact_id", "contacts 'email': email_address(email)"],
        ),
        // Through other models, aggregates, unions and a type that a column says.
        (
            vec![
                (
                    "staging.known",
                    "with all_known as (select contact_id, 'email' as t, email as i from sources.contacts union all \
                     select contact_id, 'phone' as t, phone as i from sources.contacts) \
                     select contact_id, t, i, max(contact_id) as last_one from all_known group by contact_id, t, i",
                ),
                (
                    EDGES,
                    "select k.t as identifier_type, k.i as identifier, 'customer' as other_type, k.last_one as other from staging.known as k",
                ),
            ],
            &["contacts 'customer': contact_id", "contacts 'email': email", "contacts 'phone': phone"],
        ),
        // A list, of which each element is an identifier.
        (
            vec![(
                EDGES,
                "with parsed as (select email_addresses(email) as emails from sources.contacts) \
                 select 'email' as identifier_type, unnest(emails) as identifier, cast(null as varchar) as other_type, \
                 cast(null as varchar) as other from parsed",
            )],
            &["contacts 'email': email_addresses(email) (each)"],
        ),
        // A join: what is equal leads too.
        (
            vec![(
                EDGES,
                "select 'customer' as identifier_type, c.contact_id as identifier, cast(null as varchar) as other_type, \
                 cast(null as varchar) as other from sources.contacts as c inner join sources.orders as o on o.customer = c.contact_id",
            )],
            &["contacts 'customer': contact_id", "orders 'customer': customer"],
        ),
        // Nothing but a model looks up its customers.
        (
            vec![
                (EDGES, "select 'x' as identifier_type, 'y' as identifier, 'x' as other_type, 'y' as other"),
                ("identity.customers", "select identifier_type, identifier, customer_id from resolved.customers"),
                (
                    "features.orders",
                    "select i.customer_id, count(*) as orders from sources.orders as o inner join identity.customers as i \
                     on i.identifier_type = 'customer' and i.identifier = upper(o.customer) group by i.customer_id",
                ),
            ],
            &["orders 'customer': upper(customer)"],
        ),
        // What the query makes up leads nowhere, and neither does what is computed from several rows.
        (
            vec![(
                EDGES,
                "select 'customer' as identifier_type, cast(count(*) as varchar) as identifier, cast(null as varchar) as other_type, \
                 cast(null as varchar) as other from sources.orders group by country",
            )],
            &[],
        ),
    ]
}

#[tokio::test]
async fn identifiers_are_followed_to_the_sources() {
    for (models, expected) in edges_and_their_leads() {
        let mut found = written(&models, true).await;
        for lead in &mut found {
            *lead = lead.replace("c.", "").replace("o.", "");
        }
        assert_eq!(found, expected, "{models:#?}");
    }
}

#[tokio::test]
async fn without_identity_step_the_id_of_the_profile_is_followed() {
    let models = [
        ("features.orders", "select customer, count(*) as orders from sources.orders group by customer"),
        (
            "customers",
            "select coalesce(c.contact_id, o.customer) as customer_id, o.orders from sources.contacts as c \
             full join features.orders as o on o.customer = c.contact_id",
        ),
    ];
    assert_eq!(written(&models, false).await, ["contacts contact_id", "orders customer"]);
}

#[tokio::test]
async fn columns_of_the_profile_are_followed() {
    let models = [
        ("identity.customers", "select identifier_type, identifier, customer_id from resolved.customers"),
        (
            "features.orders",
            "select i.customer_id, count(*) as orders, cast('2026-10-07' as date) - max(o.day) as days, max(o.country) as country \
             from sources.orders as o inner join identity.customers as i on i.identifier_type = 'customer' and i.identifier = o.customer \
             group by i.customer_id",
        ),
        (
            "features.contacts",
            "select i.customer_id, bool_and(coalesce(c.agrees, false)) as agrees, max(c.email) as email from sources.contacts as c \
             inner join identity.customers as i on i.identifier_type = 'customer' and i.identifier = c.contact_id group by i.customer_id",
        ),
        (
            "scores.rank",
            "with cut as (select percentile_cont(0.5) within group (order by cast(orders as double)) as middle from features.orders) \
             select o.customer_id, o.orders > cut.middle as is_above, ntile(4) over (order by o.days) as quarter, \
             count(*) over (partition by o.country) as neighbours from features.orders as o cross join cut",
        ),
        (
            "customers",
            "with everybody as (select distinct customer_id from identity.customers) \
             select e.customer_id, coalesce(o.orders, 0) as orders, o.days, coalesce(c.agrees, false) as agrees, c.email is not null as has_email, \
             r.is_above, r.quarter, r.neighbours, 1 as constant, p.expected > 1 as buys from everybody as e \
             left join features.orders as o on o.customer_id = e.customer_id \
             left join features.contacts as c on c.customer_id = e.customer_id \
             left join scores.rank as r on r.customer_id = e.customer_id \
             left join predicted.worth as p on p.customer_id = e.customer_id",
        ),
    ];
    let plans = plans(&models).await;
    let leads = leads(&plans, true);
    let all: BTreeSet<String> = ["contacts", "orders"].map(str::to_owned).into();
    let is_consent = |source: &str, column: &str| (source, column) == ("contacts", "agrees");
    let day = ScalarValue::Date32(Some(20_733));
    assert_eq!(day.to_string(), "2026-10-07");
    let fitted_to = FittedTo::from([("predicted.worth".to_owned(), ("features.orders".to_owned(), "customer_id".to_owned()))]);
    let found = lineage(&plans, &fitted_to, &leads, &all, &is_consent, &day);
    let of = |sources: &[&str], own: Option<&[&str]>| Lineage {
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        is_relative: own.is_some(),
        own: own.filter(|own| !own.is_empty()).map(|own| own.iter().map(|column| (*column).to_owned()).collect()),
        ..Lineage::default()
    };
    let expected = BTreeMap::from([
        ("customer_id", of(&[], None)),
        ("orders", of(&["orders"], None)),
        ("days", Lineage { reads_day: true, ..of(&["orders"], None) }),
        ("agrees", Lineage { is_consent: true, ..of(&["contacts"], None) }),
        ("has_email", of(&["contacts"], None)),
        ("is_above", of(&["orders"], Some(&["orders"]))),
        ("quarter", Lineage { reads_day: true, ..of(&["orders"], Some(&["days"])) }),
        ("neighbours", of(&["orders"], Some(&[]))),
        ("constant", of(&[], None)),
        // What is fitted to everybody, of which the customer brings what its model has: not all of it is in the profile.
        ("buys", Lineage { reads_day: true, ..of(&["orders"], Some(&[])) }),
    ]);
    for (column, expected) in expected {
        assert_eq!(found.get(column), Some(&expected), "{column}");
    }
}
