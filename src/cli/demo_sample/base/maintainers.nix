{
  ines = { name = "Ines Ørsted"; email = "ines@example.org"; github = "ines-orsted"; };
  kofi = { name = "Kofi Mensah-Blum"; email = "kofi@example.org"; github = "kofimb"; };
  marit = { name = "Marit Solheim"; email = "marit@example.org"; github = "maritsol"; };
  tadeo = { name = "Tadeo Quispe"; email = "tadeo@example.org"; github = "tquispe"; };
  yun = { name = "Yun-seo Hale"; email = "yun@example.org"; github = "yunhale"; };
}
