//! Colours of the SVG: by CSS, for light and dark pages, distinguishable without red and green.

/// Classes are prefixed, so that the sheet can stand inside a page.
pub(super) const STYLE: &str = "\
.mc{font-family:system-ui,sans-serif;max-width:35rem;height:auto;display:block;--mc-ink:#22272e;--mc-faint:#d4d7dc;\
--mc-paper:#ffffff;--mc-effective:#0b6e4f;--mc-actual:#8a5a00;--mc-attempts:#4053b5;--mc-requests:#6b7280;--mc-fail:#c62828;\
--mc-goodput:#00838f}\
@media (prefers-color-scheme:dark){.mc{--mc-ink:#e3e6ea;--mc-faint:#3a4048;--mc-paper:#16191d;--mc-effective:#5fd39a;\
--mc-actual:#e3b341;--mc-attempts:#93a4f4;--mc-requests:#9aa2ad;--mc-fail:#ff6b6b;--mc-goodput:#4dd0e1}}\
.mc text{fill:var(--mc-ink);font-size:14px}.mc .mc-title{font-size:16px;font-weight:600}\
.mc .mc-paper{fill:var(--mc-paper)}.mc .mc-grid{stroke:var(--mc-faint);stroke-width:1}\
.mc .mc-step{stroke:var(--mc-ink);stroke-width:1;stroke-dasharray:2 3}\
.mc .mc-line{fill:none;stroke-width:2.5;stroke-linejoin:round}\
.mc .mc-effective{stroke:var(--mc-effective)}.mc .mc-actual{stroke:var(--mc-actual);stroke-dasharray:6 3}\
.mc .mc-goodput{stroke:var(--mc-goodput);stroke-dasharray:2 2}.mc .mc-attempts{stroke:var(--mc-attempts)}\
.mc .mc-requests{stroke:var(--mc-requests);stroke-dasharray:6 3}\
.mc .mc-fail{fill:var(--mc-fail);fill-opacity:.22}.mc .mc-band{fill:var(--mc-effective);fill-opacity:.25}\
.mc .mc-policy{fill:var(--mc-attempts)}.mc .mc-fault{fill:var(--mc-fail)}";
