"""From records to tables and pictures. The only place that loads matplotlib."""
