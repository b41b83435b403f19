// What classic scripts define: vendor/uPlot.iife.min.js. Read by `tsc` only.
declare var uPlot: any;
