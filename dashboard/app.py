"""The dashboard's entry: which pages there are. Started by `cardwatch dashboard` and by a run."""

import streamlit as st

from dashboard.panels import STYLE
from dashboard.views import countries, entity, now, paging, pipeline, rules, scores

st.set_page_config(page_title="cardwatch", layout="wide")
st.html(STYLE)
st.navigation(
    [
        st.Page(now.show, title="Now", url_path="now", default=True),
        st.Page(scores.show, title="Scores", url_path="scores"),
        st.Page(countries.show, title="Map", url_path="map"),
        st.Page(entity.show_card, title="Card", url_path="card"),
        st.Page(entity.show_account, title="Account", url_path="account"),
        st.Page(entity.show_merchant, title="Merchant", url_path="merchant"),
        st.Page(paging.show, title="Paging", url_path="paging"),
        st.Page(rules.show, title="Rules", url_path="rules"),
        st.Page(pipeline.show, title="Pipeline", url_path="pipeline"),
    ],
    position="top",
).run()
