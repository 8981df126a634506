//! The SQL functions of flowq: what they are called, what they take and give, and how they are evaluated.
//!
//! Each file holds a table of functions; [`register`] puts them into a session, [`catalogue`] lists them for people.
//! Facts about addresses, ports and protocols are `net`'s.

mod address;
mod elb;
mod enrich;
mod function;
mod matcher;
mod names;
mod pruning;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

pub use enrich::{EnrichError, Enrichment};
pub use pruning::{pruning_filter, pruning_hint};

use function::{Function, Spec};

/// One function, for `flowq functions` and the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDoc {
    /// The name in SQL.
    pub name: &'static str,
    /// `name(parameters) -> type`.
    pub signature: String,
    /// What it does.
    pub description: &'static str,
    /// A call that can be tried with `select`.
    pub example: &'static str,
    /// What the example gives, as the table output shows it.
    pub result: &'static str,
    /// Name and meaning of each parameter.
    pub parameters: Vec<(&'static str, &'static str)>,
}

fn specs() -> impl Iterator<Item = &'static Spec> {
    [address::SPECS, names::SPECS, elb::SPECS, enrich::SPECS].into_iter().flatten()
}

/// Every function of flowq, in the order in which people read about them.
pub fn catalogue() -> Vec<FunctionDoc> {
    specs()
        .map(|spec| FunctionDoc {
            name: spec.name,
            signature: spec.signature(),
            description: spec.description,
            example: spec.example,
            result: spec.result,
            parameters: spec.params.iter().map(|param| (param.name, param.doc)).collect(),
        })
        .collect()
}

/// Puts every function into a session. Those whose data was not given are there too: calling one is an error that
/// names the option.
pub fn register(ctx: &SessionContext, enrichment: &Arc<Enrichment>) -> Result<()> {
    for spec in specs() {
        ctx.register_udf(ScalarUDF::new_from_impl(Function::new(spec, Arc::clone(enrichment))));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
