-- What cardwatch reads of a bank's PostgreSQL, as tables; views of these columns do as well.
-- It asks for nothing else, writes nothing, and reads in the order of the two indexes.

CREATE SCHEMA IF NOT EXISTS banking;

-- One row per account, as it stands now.
CREATE TABLE IF NOT EXISTS banking.accounts (
    account_id text PRIMARY KEY,
    holder_name text NOT NULL,                        -- leaves the database masked: J*** D***
    holder_country text NOT NULL,                     -- ISO 3166-1 alpha-2
    opened_at timestamptz NOT NULL,
    credit_limit numeric(19, 4) NOT NULL,             -- in units of the currency
    currency text NOT NULL,                           -- ISO 4217
    spent numeric(19, 4) NOT NULL,                    -- of the limit, up to spent_until
    spent_until timestamptz NOT NULL,                 -- the last midnight, or when it was opened
    status text NOT NULL,                             -- ACTIVE, BLOCKED or CLOSED
    risk_segment text NOT NULL,                       -- LOW, MEDIUM or HIGH
    updated_at timestamptz NOT NULL DEFAULT now()     -- when this version was written
);
CREATE INDEX IF NOT EXISTS accounts_changed ON banking.accounts (updated_at, account_id);

-- One row per card payment, in its present status. Read if BankTransactions is on.
CREATE TABLE IF NOT EXISTS banking.transactions (
    transaction_id text PRIMARY KEY,
    card_number text NOT NULL,                        -- leaves the database as a token
    account_id text NOT NULL,
    user_id text NOT NULL,
    amount numeric(19, 4) NOT NULL,
    currency text NOT NULL,
    merchant_id text NOT NULL,
    country text NOT NULL,                            -- the merchant's
    city text,                                        -- may be missing where no card was present
    status text NOT NULL,                             -- AUTHORIZED, DECLINED, CAPTURED or REFUNDED
    status_at timestamptz NOT NULL,                   -- when it came into this status
    entry_mode text,
    merchant_category text,                           -- ISO 18245
    latitude text,
    longitude text,                                   -- WGS 84 degrees, at most 6 decimals
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS transactions_changed ON banking.transactions (updated_at, transaction_id);

-- Whatever changes a row moves its updated_at to when the transaction began, by the database's
-- clock. Without it a change is never seen.
CREATE OR REPLACE FUNCTION banking.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER accounts_touched BEFORE UPDATE ON banking.accounts
FOR EACH ROW EXECUTE FUNCTION banking.touch();
CREATE OR REPLACE TRIGGER transactions_touched BEFORE UPDATE ON banking.transactions
FOR EACH ROW EXECUTE FUNCTION banking.touch();
