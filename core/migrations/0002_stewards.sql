-- What waits for stewards is looked up by link whenever a known record says something new.
CREATE INDEX review_link ON review (link);
