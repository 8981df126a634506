//! What is asked of the logs for the REJECTs: the hashes of the ACCEPTs that bear on them, put into the filters that every record
//! is held against.

use std::sync::Arc;

use datafusion::common::Result;
use futures::StreamExt;
use hashbrown::HashSet;

use super::evidence::together;
use super::observe::Wanted;
use super::parts::{Part, Rejects};
use super::places::{MOST_PLACES, Places};
use crate::rules::Engine;
use crate::sql::records::Coder;

/// Which ACCEPTs to look for: puts the hashes of all REJECTs into the filters. Returns the hashes of the network ACLs and
/// subnets in which other interfaces' ACCEPTs are wanted.
pub(super) async fn want(
    filters: &Wanted,
    rejects: &Rejects,
    part: Part,
    flags: bool,
) -> Result<HashSet<u64>> {
    let zones = together(rejects.kept.iter().map(|kept| {
        let (mut stream, filters) = (kept.stream(part)?, filters.clone());
        let (network, own) = (rejects.network.clone(), Arc::clone(&rejects.own));
        Ok(async move {
            let mut coder = Coder::default();
            let mut places = Places::new(network.as_deref().map(Engine::new), own);
            let (mut hashes, mut pairs): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
            let mut zones: HashSet<u64> = HashSet::new();
            while let Some(batch) = stream.next().await {
                let columns = coder.columns(&batch?)?;
                if places.engine.is_some() {
                    columns.keep_addresses();
                }
                places.begin(&columns);
                for row in 0..columns.rows() {
                    let (Some(start), Some(protocol)) = (columns.start(row), columns.protocol(row)) else {
                        continue;
                    };
                    let end = columns.end(row, start);
                    let at = places.at(&columns, row, start, end);
                    let Some(place) = places.places.get(at) else { continue };
                    let direction = place.direction(&columns, row);
                    let asks = match place.rules {
                        Some(_) => places.asks(&columns, row, (at, start, end), direction, flags),
                        None => None,
                    };
                    let [service, zone] = asks.unwrap_or([true; 2]);
                    let Some(place) = places.places.get(at) else { continue };
                    let [flow, of_service, in_zone] = place.hashes(&columns, row, protocol, direction);
                    hashes.extend(flow);
                    for hash in [of_service.filter(|_| service), in_zone.filter(|_| zone)] {
                        hashes.extend(hash.into_iter().flat_map(|h| filters.exact.want_over(h, start, end)));
                    }
                    if zone && let Some(zone) = place.zone_hash {
                        zones.insert(zone);
                    }
                    for remote in place.remotes(&columns, row, direction) {
                        let [interface, in_zone] = place.pairs(&columns, row, remote);
                        pairs.extend(interface.into_iter().chain(in_zone.filter(|_| zone)));
                    }
                }
                hashes.drain(..).for_each(|hash| filters.exact.insert(hash));
                pairs.drain(..).for_each(|pair| filters.pairs.insert(pair));
                if places.places.len() > MOST_PLACES {
                    places.take();
                }
            }
            Ok(zones)
        })
    }))
    .await?;
    Ok(zones.into_iter().flatten().collect())
}
