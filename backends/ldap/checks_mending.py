"""How to mend what the checks find, on each kind of server: lines to be run by an administrator."""

from __future__ import annotations

from dataclasses import dataclass

from backends.ldap.checks_setup import Setup
from config.directory import Bindings, Kind, Lock

_LDIF = "ldapmodify -c -Y EXTERNAL -H ldapi:/// <<'END'\n{}\nEND"
_FIND = "ldapsearch -Y EXTERNAL -H ldapi:/// -LLL -b cn=config '(olcSuffix=*)'"
_USER_CLASS = "bf967aba-0de6-11d0-a285-00aa003049e2"
_GROUP_CLASS = "bf967a9c-0de6-11d0-a285-00aa003049e2"


@dataclass(frozen=True, slots=True)
class Mending:
    """Lines for one directory. Where they name a thing whose name can't be read, they say how to find it.

    OpenLDAP's are LDIF for cn=config, to be run on the server as root. 389 Directory Server's call its instance
    INSTANCE.
    """

    bindings: Bindings
    bind_dn: str
    setup: Setup

    @property
    def kind(self) -> Kind:
        return self.bindings.kind

    def index(self, attributes: list[str]) -> str:
        """An equality index on each attribute."""
        if self.kind is Kind.OPENLDAP:
            change = self._modify(f"add: olcDbIndex\nolcDbIndex: {','.join(attributes)} eq")
            return (
                f"{change}\nWhere an attribute has an index of another type, add eq to that line of olcDbIndex instead."
            )
        if self.kind is Kind.DS389:
            database = self.setup.database or "userroot"
            lines = [
                f"dsconf INSTANCE backend index add --attr {name} --index-type eq --reindex {database}"
                for name in attributes
            ]
            other = f"dsconf INSTANCE backend index set --attr NAME --add-type eq {database}"
            again = f"dsconf INSTANCE backend index reindex --attr NAME {database}"
            return "\n".join((*lines, "Where NAME has an index of another type:", other, again))
        return (
            "As a schema administrator, for each attribute (searchFlags keeps its other bits; this adds 1):\n"
            + "\n".join(
                f"Get-ADObject -SearchBase '{self.setup.database or 'the schema partition'}' "
                f"-Filter 'lDAPDisplayName -eq \"{name}\"' -Properties searchFlags | "
                "ForEach-Object { Set-ADObject $_ -Replace @{searchFlags = $_.searchFlags -bor 1} }"
                for name in attributes
            )
        )

    def see_indexes(self) -> str:
        """How an administrator sees them."""
        if self.kind is Kind.OPENLDAP:
            return f"See, as root on the server:\n{_FIND} olcDbIndex"
        return f"See:\ndsconf INSTANCE backend index list {self.setup.database or 'userroot'}"

    def unique(self, attribute: str) -> str:
        """The server's own guard over the values of an attribute of users."""
        base = self.bindings.users.base
        if self.kind is Kind.OPENLDAP:
            return self._overlay("unique", "olcUniqueConfig", f"olcUniqueURI: ldap:///{base}?{attribute}?sub")
        if self.kind is Kind.DS389:
            name = f"landfall {attribute}"
            return (
                f"dsconf INSTANCE plugin attr-uniq add '{name}' --attr-name {attribute} --subtree '{base}'\n"
                f"dsconf INSTANCE plugin attr-uniq enable '{name}'\ndsctl INSTANCE restart"
            )
        return "Active Directory keeps userPrincipalName unique since Windows Server 2012 R2: bind userName to that."

    def referential(self) -> str:
        """What takes the DN of an entry that is deleted out of groups, and follows a renamed one."""
        member = self.bindings.groups.member
        if self.kind is Kind.OPENLDAP:
            return self._overlay("refint", "olcRefintConfig", f"olcRefintAttribute: {member} manager")
        if self.kind is Kind.DS389:
            return (
                "dsconf INSTANCE plugin referential-integrity set --update-delay 0 "
                f"--membership-attr {member} manager\n"
                "dsconf INSTANCE plugin referential-integrity enable\ndsctl INSTANCE restart"
            )
        return f"Bind groups.member to member, the attribute that Active Directory links; it is {member} now."

    def member_of(self) -> str:
        """Bindings that claim an attribute which the server does not keep."""
        line = "Take the line member_of out of [users] in the bindings file; or let the server keep the attribute:\n"
        if self.kind is Kind.OPENLDAP:
            text = "olcMemberOfMemberAD: " + self.bindings.groups.member
            return line + self._overlay("memberof", "olcMemberOf", text)
        if self.kind is Kind.DS389:
            return (
                f"{line}dsconf INSTANCE plugin memberof set --groupattr {self.bindings.groups.member}\n"
                "dsconf INSTANCE plugin memberof enable\ndsctl INSTANCE restart\n"
                f"dsconf INSTANCE plugin memberof fixup '{self.bindings.users.base}'"
            )
        return 'Set member_of = "memberOf" in the bindings file.'

    def rights(self) -> str:
        """What lets the service account read and write below the bases, and no more."""
        bases = self._bases
        if self.kind is Kind.OPENLDAP:
            who = f'by dn.exact="{self.bind_dn}"'
            rules = [f'to dn.children="{base}" attrs=userPassword {who} =w by * break' for base in self._user_bases]
            rules += [f'to dn.children="{base}" {who} write by * break' for base in bases]
            rules += [f'to dn.base="{base}" attrs=children {who} write by * break' for base in bases]
            rules += [f'to dn.base="{base}" {who} read by * break' for base in bases]
            lines = "\n".join(f"olcAccess: {{{number}}}{rule}" for number, rule in enumerate(rules))
            return self._modify(f"add: olcAccess\n{lines}")
        if self.kind is Kind.DS389:
            return (
                "\n\n".join(
                    (
                        "ldapmodify -x -H ldaps://SERVER -D 'cn=Directory Manager' -W <<'END'",
                        *(self._ds_rights(base) for base in bases),
                    )
                ).replace("<<'END'\n\n", "<<'END'\n")
                + "\nEND"
            )
        return "\n".join(
            (
                "With dsacls (Microsoft); ACCOUNT is DOMAIN\\NAME of the service account:",
                *self._dsacls(),
                "With samba-tool (Samba); SID is that of the service account:",
                *self._samba_tool(),
            )
        )

    @property
    def _user_bases(self) -> list[str]:
        users = self.bindings.users
        return [users.base, *([users.retired] if users.retired is not None else [])]

    @property
    def _bases(self) -> list[str]:
        return list(dict.fromkeys((*self._user_bases, self.bindings.groups.base)))

    def _classes(self, user: str, group: str) -> list[tuple[str, str]]:
        """Each base with the class of what is created there."""
        return [*((base, user) for base in self._user_bases), (self.bindings.groups.base, group)]

    def _ds_rights(self, base: str) -> str:
        who = f'userdn="ldap:///{self.bind_dn}";'
        below = '(targetfilter="(!(objectClass=organizationalUnit))")'
        moves = f'\naci: (version 3.0; acl "Landfall moves"; allow (moddn) {who})'
        return (
            f"dn: {base}\nchangetype: modify\nadd: aci\n"
            f'aci: (targetattr!="userPassword || aci")(version 3.0; acl "Landfall reads"; '
            f"allow (read, search, compare) {who})\n"
            f'aci: {below}(targetattr!="userPassword || aci")(version 3.0; acl "Landfall entries"; allow (all) {who})\n'
            f'aci: {below}(targetattr="userPassword")(version 3.0; acl "Landfall passwords"; allow (add, write) {who})'
            f"{moves if len(self._user_bases) > 1 and base in self._user_bases else ''}"
        )

    def _dsacls(self) -> list[str]:
        lines = []
        for base, name in self._classes("user", "group"):
            lines += [f'dsacls "{base}" /I:T /G "ACCOUNT:CCDC;{name}"', f'dsacls "{base}" /I:S /G "ACCOUNT:GA;;{name}"']
        return lines

    def _samba_tool(self) -> list[str]:
        return [
            f"samba-tool dsacl set --objectdn='{base}' --sddl='(OA;CI;CCDC;{name};;SID)(OA;CIIO;GA;;{name};SID)'"
            for base, name in self._classes(_USER_CLASS, _GROUP_CLASS)
        ]

    def schema(self) -> str:
        """The schema of deploy/ldap."""
        if self.kind is Kind.OPENLDAP:
            return "As root on the server:\nldapadd -Y EXTERNAL -H ldapi:/// -f deploy/ldap/landfall.ldif"
        if self.kind is Kind.DS389:
            return (
                "As root on the server:\n"
                "cp deploy/ldap/98landfall.ldif /etc/dirsrv/slapd-INSTANCE/schema/\n"
                "dsconf INSTANCE schema reload --wait"
            )
        return "Bind record and held to attributes of your schema, such as desktopProfile and extensionName."

    def limits(self) -> str:
        """What lets the service account read more entries than others."""
        if self.kind is Kind.OPENLDAP:
            limit = "size=unlimited size.pr=unlimited size.prtotal=unlimited time=unlimited"
            return self._modify(f'add: olcLimits\nolcLimits: dn.exact="{self.bind_dn}" {limit}')
        if self.kind is Kind.DS389:
            names = (
                "nsSizeLimit",
                "nsLookThroughLimit",
                "nsIDListScanLimit",
                "nsPagedSizeLimit",
                "nsPagedLookThroughLimit",
                "nsPagedIDListScanLimit",
                "nsTimeLimit",
            )
            changes = "\n-\n".join(f"replace: {name}\n{name}: -1" for name in names)
            return (
                "ldapmodify -x -H ldaps://SERVER -D 'cn=Directory Manager' -W <<'END'\n"
                f"dn: {self.bind_dn}\nchangetype: modify\n{changes}\nEND"
            )
        return "Read in pages of at most MaxPageSize entries: lower ldap.page_size."

    def sorted_members(self) -> str:
        """Sorted member values. It holds for what is loaded afterwards."""
        return (
            _LDIF.format(
                "dn: olcDatabase={-1}frontend,cn=config\nchangetype: modify\nadd: olcSortVals\n"
                f"olcSortVals: {self.bindings.groups.member}"
            )
            + "\nIt must be there before the groups are: else dump the data with slapcat first, stop slapd, and "
            "load it again with slapadd."
        )

    def sorting(self) -> str:
        """Server-side sorting (RFC 2891)."""
        if self.kind is not Kind.OPENLDAP:
            return ""
        return self._overlay("sssvlv", "olcSssVlvConfig", "olcSssVlvMax: 100\nolcSssVlvMaxPerConn: 10")

    def hashing(self) -> str:
        """No passwords in the clear."""
        return 'Set password = "modify" in the bindings file: the server then hashes each new password.'

    def lock(self, policy: str | None) -> str:
        """What makes a lock work; `policy` is the DN of one that does not lock, where there is one."""
        if self.kind is not Kind.OPENLDAP:
            return ""
        suffix = (policy or "cn=default,ou=policies,dc=example,dc=org").partition(",")[2]
        if policy is None:
            parts = [
                "1. The overlay, with a policy for everyone (choose its DN):",
                self._overlay("ppolicy", "olcPPolicyConfig", f"olcPPolicyDefault: cn=default,{suffix}"),
                "2. That policy, as the directory's administrator; an entry above it must be there:",
                "ldapadd -x -H ldaps://SERVER -D 'the DN of your administrator' -W <<'END'",
                f"dn: cn=default,{suffix}\nobjectClass: applicationProcess\nobjectClass: pwdPolicy\ncn: default",
                "pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: 5\npwdLockoutDuration: 900\nEND",
            ]
        else:
            parts = [
                "Let the policy lock:",
                "ldapmodify -x -H ldaps://SERVER -D 'the DN of your administrator' -W <<'END'",
                f"dn: {policy}\nchangetype: modify\nreplace: pwdLockout\npwdLockout: TRUE\nEND",
            ]
        if self.bindings.users.lock is Lock.PPOLICY and policy is not None:
            parts.append('Or set lock = "pwdEndTime" in the bindings file, which needs no pwdLockout.')
        return "\n".join(parts)

    def _modify(self, change: str) -> str:
        database = self.setup.database or "olcDatabase={1}mdb,cn=config"
        text = _LDIF.format(f"dn: {database}\nchangetype: modify\n{change}")
        return text if self.setup.database else f"{text}\nIf the database has another name, it is shown by:\n{_FIND} dn"

    def _overlay(self, name: str, object_class: str, line: str) -> str:
        database = self.setup.database or "olcDatabase={1}mdb,cn=config"
        text = _LDIF.format(
            "dn: cn=module{0},cn=config\nchangetype: modify\nadd: olcModuleLoad\n"
            f"olcModuleLoad: {name}\n\n"
            f"dn: olcOverlay={name},{database}\nchangetype: add\n"
            f"objectClass: olcOverlayConfig\nobjectClass: {object_class}\nolcOverlay: {name}\n{line}"
        )
        there = f"\nWhere the database has the overlay already, add this line to it instead: {line}"
        return text + there + ("" if self.setup.database else f"\nThe name of the database is shown by:\n{_FIND} dn")
