-- What a bank calls its own: views over the marts under the names that its people know.

CREATE SCHEMA IF NOT EXISTS banking;
