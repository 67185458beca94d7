{
  asl20 = { spdxId = "Apache-2.0"; fullName = "Apache License 2.0"; free = true; };
  bsd2 = { spdxId = "BSD-2-Clause"; fullName = "BSD 2-clause \"Simplified\" License"; free = true; };
  cc0 = { spdxId = "CC0-1.0"; fullName = "Creative Commons Zero v1.0 Universal"; free = true; };
  gpl3Plus = { spdxId = "GPL-3.0-or-later"; fullName = "GNU General Public License v3.0 or later"; free = true; };
  isc = { spdxId = "ISC"; fullName = "Internet Systems Consortium License"; free = true; };
  lgpl21Plus = { spdxId = "LGPL-2.1-or-later"; fullName = "GNU Lesser General Public License v2.1 or later"; free = true; };
  mit = { spdxId = "MIT"; fullName = "MIT License"; free = true; };
  mpl20 = { spdxId = "MPL-2.0"; fullName = "Mozilla Public License 2.0"; free = true; };
}
