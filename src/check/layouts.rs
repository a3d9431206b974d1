//! Whether GPUs can be cut as files say, and by the tools that read them.

use super::world::{MIG_CONFIG, World, reached};
use super::{Findings, Placed};
use crate::diag::nearest;
use crate::formats::mig_parted::{Infeasible, MigConfig, MigEntry, MigParted, Name};
use crate::formats::nos::GeometryEntry;
use crate::formats::{Checkpoint, Class, Content, Script};
use crate::gpu::driver::{self, Driver};
use crate::gpu::{Catalogue, Layout, LayoutError, Product, Profile, State};
use crate::manifest::Located;
use crate::partition::nos::names;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub(super) fn check(
    documents: &[Placed],
    world: &World<'_>,
    catalogue: &Catalogue,
    findings: &mut Findings<'_>,
) {
    let asked = Asked { world, catalogue };
    for (file, document) in documents {
        match &document.content {
            Content::MigParted(mig) => asked.mig_parted(*file, mig, findings),
            Content::Checkpoint(checkpoint) => asked.checkpoint(*file, checkpoint, findings),
            Content::Geometries(entries) => asked.geometries(*file, entries, findings),
            Content::Script(script) => asked.script(*file, script, findings),
            Content::Class(class) => asked.class(*file, class, findings),
            _ => {}
        }
    }
}

/// What layouts are held against.
struct Asked<'a> {
    world: &'a World<'a>,
    catalogue: &'a Catalogue,
}

impl<'a> Asked<'a> {
    /// Products in question where a file names none: those of the nodes, or all.
    fn products(&self) -> Vec<&'a Product> {
        let known = self.world.products();
        let all = || self.catalogue.iter().filter(|p| p.is_mig()).collect();
        if known.is_empty() { all() } else { known }
    }

    fn known(&self) -> bool {
        !self.world.products().is_empty()
    }

    fn mig_parted(&self, file: usize, mig: &MigParted, findings: &mut Findings<'_>) {
        let mut foreign = BTreeMap::new();
        for config in &mig.configs {
            for entry in &config.entries {
                self.filters(file, entry, findings);
                self.entry(file, mig, config, entry, &mut foreign, findings);
            }
        }
        for (product, labels) in foreign {
            let names: Vec<&str> =
                labels.iter().take(3).map(|l: &&Located<String>| l.value.as_str()).collect();
            let more = match labels.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message =
                format!("not for {product}, which lacks their profiles: {}{more}", names.join(", "));
            let help = "no node of that GPU can select these labels";
            findings.warning(file, &labels[0].at, "other-gpu", message, help);
        }
    }

    /// Filters that name no GPU.
    fn filters(&self, file: usize, entry: &MigEntry, findings: &mut Findings<'_>) {
        for filter in entry.filter.iter().flatten() {
            let by = |p: &Product| {
                let one = MigEntry { filter: Some(vec![filter.clone()]), ..entry.clone() };
                one.names(p) == Some(true)
            };
            if filter.value.to_ascii_uppercase().ends_with("10DE") && !self.catalogue.iter().any(by) {
                let message =
                    format!("no GPU of the catalogue with MIG has the device id `{}`", filter.value);
                let ids: Vec<String> = self
                    .catalogue
                    .iter()
                    .flat_map(|p| p.pci().iter().map(|id| format!("{id}10DE")))
                    .collect();
                let help = match nearest(&filter.value, ids.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`slicewise gpus MODEL -o json` shows those that are known".to_owned(),
                };
                findings.warning(file, &filter.at, "unknown-gpu", message, help);
            }
        }
    }

    /// Products that must hold an entry without a filter: those of nodes that select its label, and of
    /// `--gpu`, unless another of these holds it or the file has other labels for them. Nobody, if it
    /// is for whoever can hold it.
    fn meant<'m>(
        &self,
        mig: &'m MigParted,
        config: &'m MigConfig,
        entry: &MigEntry,
        foreign: &mut BTreeMap<String, Vec<&'m Located<String>>>,
    ) -> Vec<&'a Product> {
        let of = |imagined: bool| {
            let mut products: Vec<&'a Product> = Vec::new();
            for node in &self.world.nodes {
                let meant = match node.object {
                    Some(object) => {
                        !imagined && object.meta.label(MIG_CONFIG) == Some(config.label.value.as_str())
                    }
                    None => imagined,
                };
                if let Some(product) = node.product.filter(|_| meant)
                    && !products.iter().any(|p| p.id() == product.id())
                {
                    products.push(product);
                }
            }
            products
        };
        let mut meant = of(false);
        let imagined = of(true);
        let (hold, fail): (Vec<&Product>, Vec<&Product>) =
            imagined.into_iter().partition(|p| entry.on(p).is_ok());
        let elsewhere = || self.catalogue.iter().any(|p| p.is_mig() && entry.on(p).is_ok());
        for product in fail.into_iter().filter(|_| hold.is_empty()) {
            let lacks = entry.slices.iter().any(|s| {
                Name::parse(&s.profile.value).is_ok_and(|name| product.profile(&name.instance).is_none())
            });
            let entries = || mig.configs.iter().flat_map(|c| &c.entries);
            let stands = |e: &MigEntry| {
                e.enabled && !e.slices.is_empty() && e.names(product) != Some(false) && e.on(product).is_ok()
            };
            if lacks && elsewhere() && entries().any(stands) {
                foreign.entry(product.id().to_owned()).or_default().push(&config.label);
            } else {
                meant.push(product);
            }
        }
        meant.extend(hold);
        meant
    }

    fn entry<'m>(
        &self,
        file: usize,
        mig: &'m MigParted,
        config: &'m MigConfig,
        entry: &MigEntry,
        foreign: &mut BTreeMap<String, Vec<&'m Located<String>>>,
        findings: &mut Findings<'_>,
    ) {
        let named = |s: &crate::formats::mig_parted::Slices| Name::parse(&s.profile.value).is_ok();
        // A name that is none has been complained about.
        if !entry.enabled || entry.slices.is_empty() || !entry.slices.iter().all(named) {
            return;
        }
        let meant: Vec<&Product> = match &entry.filter {
            Some(_) => self.catalogue.iter().filter(|p| entry.names(p) == Some(true)).collect(),
            None => self.meant(mig, config, entry, foreign),
        };
        for slices in &entry.slices {
            if Name::parse(&slices.profile.value).is_ok_and(|name| name.compute.is_some()) {
                let message =
                    format!("`{}` is a part of a slice, which no resource name fits", slices.profile.value);
                let help = "under the strategy `mixed` the device plugin does not start on such a node";
                findings.warning(file, &slices.profile.at, "parted-slice", message, help);
            }
        }
        let answered = |p: &'a Product| (p, entry.on(p).map(|mig| mig.layout));
        let answers: Vec<(&Product, Result<Layout, Infeasible>)> = meant.into_iter().map(answered).collect();
        for (product, answer) in &answers {
            self.answer(file, entry, product, answer, findings);
        }
        if answers.is_empty() && entry.filter.is_none() {
            let all = self.catalogue.iter().filter(|p| p.is_mig());
            self.anybody(file, entry, &all.map(answered).collect::<Vec<_>>(), findings);
        }
        for slices in &entry.slices {
            let old = |p: &&Product| {
                p.profile(&slices.profile.value).filter(|q| q.name() != slices.profile.value).is_some()
            };
            if let Some((product, _)) = answers.iter().find(|(p, _)| old(p)) {
                let today = product.profile(&slices.profile.value).map_or("", Profile::name);
                let message = format!(
                    "`{}` is called {today} by today's drivers of {}",
                    slices.profile.value,
                    product.id()
                );
                findings.warning(file, &slices.profile.at, "old-name", message, "names depend on the driver");
            }
        }
    }

    fn answer(
        &self,
        file: usize,
        entry: &MigEntry,
        product: &Product,
        answer: &Result<Layout, Infeasible>,
        findings: &mut Findings<'_>,
    ) {
        let layout = match answer {
            Ok(layout) => *layout,
            Err(Infeasible { at, error }) => return refuse(file, at, error, findings),
        };
        if !layout.is_empty() && reached(product, layout).is_none() {
            let (first, last) =
                (&entry.slices[0].profile.at, &entry.slices[entry.slices.len() - 1].profile.at);
            let at = first.start..last.end.max(first.end);
            let message = format!(
                "on {} mig-parted would fail: no order of creation without places reaches this",
                product.id()
            );
            let help = format!(
                "it stands as {}, which a checkpoint says (model of the driver, confidence {})",
                layout.describe(product),
                driver::confidence(product).word()
            );
            findings.warning(file, &at, "needs-places", message, help);
        }
    }

    /// An entry for whoever can hold it.
    fn anybody(
        &self,
        file: usize,
        entry: &MigEntry,
        answers: &[(&Product, Result<Layout, Infeasible>)],
        findings: &mut Findings<'_>,
    ) {
        let Some((product, answer)) = answers.iter().find(|(_, answer)| answer.is_ok()) else {
            return self.nobody(file, entry, answers, findings);
        };
        let reachable = |(p, a): &(&Product, Result<Layout, Infeasible>)| {
            a.as_ref().is_ok_and(|layout| reached(p, *layout).is_some())
        };
        if !answers.iter().any(reachable) {
            self.answer(file, entry, product, answer, findings);
        }
    }

    /// An entry that no GPU can hold.
    fn nobody(
        &self,
        file: usize,
        entry: &MigEntry,
        answers: &[(&Product, Result<Layout, Infeasible>)],
        findings: &mut Findings<'_>,
    ) {
        let has_all = |p: &Product| entry.slices.iter().all(|s| p.profile(&s.profile.value).is_some());
        if let Some((_, Err(Infeasible { at, error }))) = answers.iter().find(|(p, _)| has_all(p)) {
            refuse(file, at, error, findings);
            return;
        }
        for slices in &entry.slices {
            self.profile(file, &slices.profile, findings);
        }
        let known = |p: &&Product, s: &str| p.profile(s).is_some();
        let each_known =
            entry.slices.iter().all(|s| self.catalogue.iter().any(|p| known(&p, &s.profile.value)));
        if each_known {
            let message = "no GPU has all of these profiles".to_owned();
            let of = |s: &crate::formats::mig_parted::Slices| {
                let ids: Vec<&str> = self
                    .catalogue
                    .iter()
                    .filter(|p| known(p, &s.profile.value))
                    .map(Product::id)
                    .take(3)
                    .collect();
                format!("{} is of {}", s.profile.value, ids.join(", "))
            };
            let help = entry.slices.iter().map(of).collect::<Vec<_>>().join("; ");
            findings.error(file, &entry.slices[0].profile.at, "unknown-profile", message, help);
        }
    }

    /// A profile that no product has, by name.
    fn profile(&self, file: usize, profile: &Located<String>, findings: &mut Findings<'_>) {
        let name = &profile.value;
        if Name::parse(name).is_err() || self.catalogue.iter().any(|p| p.profile(name).is_some()) {
            return;
        }
        let known: BTreeSet<&str> =
            self.catalogue.iter().flat_map(|p| p.profiles().iter().map(Profile::name)).collect();
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`slicewise gpus MODEL` lists a GPU's profiles".to_owned(),
        };
        findings.error(
            file,
            &profile.at,
            "unknown-profile",
            format!("no GPU has a MIG profile `{name}`"),
            help,
        );
    }

    fn checkpoint(&self, file: usize, checkpoint: &Checkpoint, findings: &mut Findings<'_>) {
        for device in &checkpoint.devices {
            let answers: Vec<_> = self.products().into_iter().map(|p| device.on(p)).collect();
            self.by_some(file, answers, findings);
        }
    }

    fn script(&self, file: usize, script: &Script, findings: &mut Findings<'_>) {
        for node in &script.nodes {
            let listed = self.world.nodes.iter().find(|n| n.name == node.name).and_then(|n| n.product);
            for gpu in node.gpus.iter().filter(|g| !g.instances.is_empty()) {
                let products = listed.map_or_else(|| self.products(), |p| vec![p]);
                let answers = products.into_iter().map(|p| gpu.on(p)).collect();
                self.by_some(file, answers, findings);
            }
        }
    }

    /// Complains if no product can hold it, with the reason of the one that comes furthest.
    fn by_some(
        &self,
        file: usize,
        answers: Vec<Result<Layout, (Range<usize>, String)>>,
        findings: &mut Findings<'_>,
    ) {
        if answers.iter().any(Result::is_ok) {
            return;
        }
        let furthest = answers
            .into_iter()
            .filter_map(Result::err)
            .reduce(|best, next| if best.0.start < next.0.start { next } else { best });
        if let Some((at, why)) = furthest {
            let help = match self.known() {
                true => "",
                false => {
                    "no other GPU of the catalogue can hold it either; `--gpu MODEL` says which you have"
                }
            };
            findings.error(file, &at, "infeasible", why, help);
        }
    }

    fn geometries(&self, file: usize, entries: &[GeometryEntry], findings: &mut Findings<'_>) {
        let mut listed = BTreeSet::new();
        for entry in entries {
            let products: Vec<&Product> =
                entry.models.iter().filter_map(|m| self.model(file, m, &mut listed, findings)).collect();
            for geometry in &entry.geometries {
                for product in &products {
                    self.geometry(file, product, &geometry.slices, findings);
                }
            }
        }
        for node in self.world.nodes.iter().filter(|n| n.nos == Some(names::Kind::Mig)) {
            let label = node.object.and_then(|o| o.meta.labels.get(names::MODEL));
            if let (Some(label), Some(first)) = (label, entries.first().and_then(|e| e.models.first()))
                && !listed.contains(&label.value)
            {
                let message = format!("no geometries for `{}`, the GPUs of {}", label.value, node.name);
                let help =
                    "one such node makes nos' snapshot fail, and no pod is planned for; list its model too";
                findings.error(file, &first.at, "missing-model", message, help);
            }
        }
    }

    /// The product of a model that nos compares with labels as a text.
    fn model(
        &self,
        file: usize,
        model: &Located<String>,
        listed: &mut BTreeSet<String>,
        findings: &mut Findings<'_>,
    ) -> Option<&'a Product> {
        listed.insert(model.value.clone());
        let found = self.catalogue.find(&model.value);
        let found = found.or_else(|| self.catalogue.find(&format!("NVIDIA-{}", model.value)));
        let boards = |p: &Product| -> Vec<String> {
            std::iter::once(p.label()).chain(p.variants().iter().map(|v| v.replace(' ', "-"))).collect()
        };
        match found {
            Some(product) if !boards(product).contains(&model.value) => {
                let message =
                    format!("no board carries the label `{}`, so nos never finds this entry", model.value);
                let all = boards(product);
                let words = |text: &str| -> BTreeSet<String> {
                    text.to_lowercase().split('-').map(str::to_owned).collect()
                };
                let shared = |board: &&String| words(board).intersection(&words(&model.value)).count();
                // The first of those that share most words.
                let near = all.iter().rev().max_by_key(shared).expect("a product has a board");
                findings.error(
                    file,
                    &model.at,
                    "unknown-gpu",
                    message,
                    format!("write `{near}`, as nvidia.com/gpu.product has it"),
                );
            }
            None => {
                let all: Vec<String> = self.catalogue.iter().flat_map(boards).collect();
                let message = format!("no GPU of the catalogue has the label `{}`", model.value);
                let help = match nearest(&model.value, all.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "its geometries were not checked".to_owned(),
                };
                findings.warning(file, &model.at, "unknown-gpu", message, help);
            }
            _ => {}
        }
        found
    }

    fn geometry(
        &self,
        file: usize,
        product: &Product,
        slices: &[(Located<String>, u32)],
        findings: &mut Findings<'_>,
    ) {
        let mut wanted = Vec::new();
        for (name, count) in slices {
            let Some(profile) = product.profile(&name.value) else {
                let error = LayoutError::UnknownProfile {
                    product: product.id().to_owned(),
                    text: name.value.clone(),
                    known: product.profile_names(),
                    suggestion: product.suggest_profile(&name.value).map(str::to_owned),
                };
                refuse(file, &name.at, &error, findings);
                return;
            };
            if profile.name() != name.value {
                let message = format!(
                    "`{}` is called {} by today's drivers of {}",
                    name.value,
                    profile.name(),
                    product.id()
                );
                findings.warning(file, &name.at, "old-name", message, "names depend on the driver");
            }
            wanted.extend(std::iter::repeat_n(profile.name(), (*count).min(64) as usize));
        }
        let (Some((first, _)), Some((last, _))) = (slices.first(), slices.last()) else { return };
        let at = first.at.start..last.at.end;
        let layout = match Layout::place(product, &wanted) {
            Ok(layout) => layout,
            Err(error) => return refuse(file, &at, &error, findings),
        };
        let mut order: Vec<u8> = product.states().by_size(layout.geometry(product)).collect();
        let driver = Driver::new(product);
        let works = |order: &[u8]| driver.create_all(State::EMPTY, order.iter().copied()).is_some();
        let largest_first = works(&order);
        order.reverse();
        if !largest_first || !works(&order) {
            let surely = driver::confidence(product).word();
            let message = match largest_first {
                true => {
                    format!("on {} this stands only if the larger slices are created first", product.id())
                }
                false => format!("on {} no order of creation without places reaches this", product.id()),
            };
            let help = format!(
                "nos gives no places and may begin with any slice; it stands as {} (model of the driver, confidence {surely})",
                layout.describe(product)
            );
            findings.warning(file, &at, "needs-order", message, help);
        }
    }

    fn class(&self, file: usize, class: &Class, findings: &mut Findings<'_>) {
        if let Some(profile) = &class.profile {
            self.claimed(file, profile, findings);
        }
        if let Some(resource) = &class.extended_resource {
            let offers = |n: &&super::world::Node<'_>| n.resources.contains_key(&resource.value);
            if let Some(node) = self.world.nodes.iter().find(offers) {
                let message =
                    format!("`{}` is offered by the device plugin of {} too", resource.value, node.name);
                let help = "a node is served by the plugin or by the DRA driver; take the other off it";
                findings.error(file, &resource.at, "offered-twice", message, help);
            }
        }
    }

    /// A profile in a selector, which devices have by its exact name.
    /// Whether some GPU has a profile of this name.
    fn has_profile(&self, name: &String) -> bool {
        let has = |p: &Product| p.profiles().iter().any(|q| q.name() == name || q.aliases().contains(name));
        self.products().into_iter().any(has)
    }

    fn claimed(&self, file: usize, profile: &Located<String>, findings: &mut Findings<'_>) {
        let name = &profile.value;
        if self.has_profile(name) {
            return;
        }
        let products = self.products();
        let known: BTreeSet<&str> =
            products.iter().flat_map(|p| p.profiles().iter().map(Profile::name)).collect();
        let message = match self.known() {
            true => format!("no GPU of these nodes has a MIG profile `{name}`"),
            false => format!("no GPU has a MIG profile `{name}`"),
        };
        let plus = name.rfind('.').map(|at| format!("{}+{}", &name[..at], &name[at + 1..]));
        let help = match plus.filter(|p| known.contains(p.as_str())) {
            Some(plus) => format!("the attribute is spelled `{plus}`; a `.` is for resource names"),
            None => nearest(name, known).map_or(String::new(), |near| format!("did you mean `{near}`?")),
        };
        findings.error(file, &profile.at, "unknown-profile", message, help);
    }
}

/// Profiles of claims are checked with the pods that use them, and here where none does.
pub(super) fn claimed(
    file: usize,
    profile: &Located<String>,
    world: &World<'_>,
    catalogue: &Catalogue,
    findings: &mut Findings<'_>,
) {
    Asked { world, catalogue }.claimed(file, profile, findings);
}

/// Whether some GPU has the profile that is asked for, if one is.
pub(super) fn can_be(profile: Option<&Located<String>>, world: &World<'_>, catalogue: &Catalogue) -> bool {
    profile.is_none_or(|profile| Asked { world, catalogue }.has_profile(&profile.value))
}

/// A layout that the device would refuse.
fn refuse(file: usize, at: &Range<usize>, error: &LayoutError, findings: &mut Findings<'_>) {
    let code = match error {
        LayoutError::UnknownProfile { .. } => "unknown-profile",
        LayoutError::NotMig { .. } => "no-mig",
        _ => "infeasible",
    };
    findings.error(file, at, code, error.to_string(), error.help().unwrap_or_default());
}
