//! What people call objects.

use super::Network;
use crate::network::{NetworkInterface, View};

impl Network {
    /// What people call an object: its newest `Name` tag.
    pub fn name_of(&self, id: &str) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// What people call an interface: by its own name, else by that of its instance.
    pub fn interface_name(&self, interface: &NetworkInterface) -> Option<&str> {
        self.name_of(&interface.id).or_else(|| self.name_of(interface.instance_id.as_deref()?))
    }

    /// Its name, else what the service that made it says of it.
    pub fn interface_label<'n>(&'n self, interface: &'n NetworkInterface) -> Option<&'n str> {
        self.interface_name(interface).or_else(|| interface.service_description())
    }

    /// The interface of an id with its name behind it, as far as both are known: `eni-… (web-1)`.
    pub fn interface_text(&self, id: &str, view: View) -> String {
        let found = self.interfaces.get(id, view);
        match found.and_then(|found| self.interface_label(found.value)) {
            Some(name) => format!("{id} ({name})"),
            None => id.to_owned(),
        }
    }

    /// The objects of a name, in the order of their ids.
    pub fn named(&self, name: &str) -> Vec<&str> {
        let named = self.names.iter().filter(|(_, known)| known.as_str() == name);
        let mut ids: Vec<&str> = named.map(|(id, _)| id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    /// A text for people with the names of network ACLs behind their ids, as those of interfaces are: `acl-… (public)`. In
    /// commands and Terraform, where an id is the value of an option or in quotes, it stays alone.
    pub fn with_acl_names(&self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        let mut is_value = false;
        while !rest.is_empty() {
            let end = rest.find([' ', '\n']).map_or(rest.len(), |at| at.saturating_add(1));
            let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let name = if is_value { None } else { self.acl_name_in(word) };
            match name.filter(|(_, name)| !behind.starts_with(&format!("({name})"))) {
                Some((at, name)) => {
                    let (id, punctuation) = word.split_at_checked(at).unwrap_or((word, ""));
                    named.push_str(&format!("{id} ({name}){punctuation}"));
                }
                None => named.push_str(word),
            }
            is_value = word.starts_with("--");
            rest = behind;
        }
        named
    }

    /// The name of the network ACL whose id a word of a text is, and where in the word the id ends.
    fn acl_name_in(&self, word: &str) -> Option<(usize, &str)> {
        let id = word.trim_start_matches('(');
        let begins = word.len().saturating_sub(id.len());
        let length = id.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(id.len());
        let (id, behind) = id.split_at_checked(length)?;
        let ends_there = behind.chars().all(|c| matches!(c, ' ' | '\n' | ',' | ';' | ':' | '.' | ')'));
        self.acls.timeline(id).filter(|_| ends_there)?;
        Some((begins.saturating_add(length), self.name_of(id)?))
    }
}

#[cfg(test)]
mod tests {
    use crate::network::{NetworkBuilder, ReadOptions};

    #[test]
    fn network_acls_are_named_in_texts_for_people_and_not_in_commands() {
        let mut builder = NetworkBuilder::new();
        let text = r#"{"NetworkAcls": [
            {"NetworkAclId": "acl-1", "VpcId": "vpc-1", "Tags": [{"Key": "Name", "Value": "public"}], "Entries": []},
            {"NetworkAclId": "acl-2", "VpcId": "vpc-1", "Entries": []}]}"#;
        builder.read("acls.json", text.as_bytes(), &ReadOptions::default()).unwrap();
        let (network, _) = builder.finish();
        for (text, named) in [
            ("acl-1", "acl-1 (public)"),
            (
                "nacl acl-1 inbound rule 80 deny all (nacl acl-1 rule 90, acl-2)",
                "nacl acl-1 (public) inbound rule 80 deny all (nacl acl-1 (public) rule 90, acl-2)",
            ),
            ("\nby (acl-1):  it\n", "\nby (acl-1 (public)):  it\n"),
            ("acl-1 (public) is named", "acl-1 (public) is named"),
            ("acl-11 acl-1/2 xacl-1 acl-1x", "acl-11 acl-1/2 xacl-1 acl-1x"),
            ("  aws ec2 create-network-acl-entry --network-acl-id acl-1 --ingress\n", ""),
            ("  network_acl_id = \"acl-1\"\n  network_acl_id=acl-1", ""),
        ] {
            assert_eq!(network.with_acl_names(text), if named.is_empty() { text } else { named });
        }
    }
}
