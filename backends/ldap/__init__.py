"""Users and groups in an LDAP directory: OpenLDAP, 389 Directory Server, Active Directory."""
