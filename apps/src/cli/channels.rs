//! Names of channels in arguments.

use super::failure::{Exit, Failure};
use crate::formats::nearest;
use sim_core::{App, ChannelId};
use std::collections::{BTreeMap, BTreeSet};

/// The channels in `list`: names separated by commas. A name may hold commas itself: the longest that exists counts.
pub(crate) fn named(app: &App, list: &str) -> Result<BTreeSet<ChannelId>, Failure> {
    let ids: BTreeMap<&str, ChannelId> =
        app.channels().iter().map(|(id, channel)| (channel.name.as_str(), id)).collect();
    let mut channels = BTreeSet::new();
    let mut rest = Some(list);
    while let Some(names) = rest {
        let ends = names.match_indices(',').map(|(at, _)| at).chain([names.len()]);
        let longest = ends.filter_map(|end| ids.get(&names[..end]).map(|&id| (end, id))).next_back();
        let Some((end, id)) = longest else {
            let name = names.split(',').next().expect("a split text has a first part");
            return Err(unknown(app, name));
        };
        channels.insert(id);
        rest = names.get(end + 1..);
    }
    Ok(channels)
}

fn unknown(app: &App, name: &str) -> Failure {
    let message = format!("application `{}` has no channel `{name}`", app.name());
    let failure = Failure::new(Exit::Invalid, "usage::no_such_channel", message);
    match nearest(name, app.channels().values().map(|channel| channel.name.as_str())) {
        Some(nearest) => failure.help(format!("did you mean `{nearest}`?")),
        None => {
            failure.help("`tidelock check --format json` and `view calendar` name actors, graph files name channels")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::life;

    #[test]
    fn names_may_hold_commas() {
        let app = life::<4>(2, 1, |_, _| false).unwrap();
        let id = |name| app.channel_named(name).unwrap();
        let both = named(&app, "cells 0,0,cells 1,0").unwrap();
        assert_eq!(both, BTreeSet::from([id("cells 0,0"), id("cells 1,0")]));
        assert_eq!(named(&app, "cells 2,0").unwrap_err().to_string(), "application `life` has no channel `cells 2`");
        assert!(named(&app, "").is_err());
    }
}
