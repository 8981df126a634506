//! Whose account gives a command: where the two ends are of different accounts, each fix says which one it is for.

use super::walk::{End, Walk};
use super::{Layer, Stage};

impl Walk<'_> {
    /// Names the account in each fix where there are two.
    pub(super) fn name_accounts(&mut self, source: &End, target: &End) {
        let owner = |end: &End| end.local.as_ref().and_then(|local| local.rules.interface.owner_id.clone());
        let (Some(one), Some(other)) = (owner(source), owner(target)) else { return };
        if one == other {
            return;
        }
        let accounts: Vec<Option<String>> = self.stages.iter().map(|stage| self.account_of(stage)).collect();
        for (stage, account) in self.stages.iter_mut().zip(accounts) {
            if let (Some(fix), Some(account)) = (&mut stage.fix, account)
                && !fix.command.is_empty()
                && !fix.text.contains("as account ")
            {
                fix.text = format!("as account {account}, {}", fix.text);
            }
        }
    }

    /// The account of what a stage asks: groups are of whoever has the interface, lists and route tables of whoever has the subnet.
    fn account_of(&self, stage: &Stage) -> Option<String> {
        if stage.layer == Layer::Gateway || stage.layer == Layer::LoadBalancer {
            return None;
        }
        if let Some(subnet) = self.network.subnets.get(&stage.at, self.view) {
            return subnet.value.owner_id.clone();
        }
        let id = stage.interface.as_deref().unwrap_or(&stage.at);
        self.network.interfaces.get(id, self.view)?.value.owner_id.clone()
    }
}
