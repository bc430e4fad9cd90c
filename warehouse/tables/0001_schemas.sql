-- The two schemas: staging holds what was delivered and its typed views, marts answer questions.

CREATE SCHEMA IF NOT EXISTS staging;

CREATE SCHEMA IF NOT EXISTS marts;
